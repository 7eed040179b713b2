"""Warnings that only the whole repository shows, for people who read it offline."""
