"""Capture: rules of the kernel that lead an application's traffic through its proxy, unasked."""
