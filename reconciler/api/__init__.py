"""HTTP: the control socket that commands ask, and the bootstrap that proxies start from."""
