"""Addresses and names as Kuma's API takes them: IP, a range of IPs, a DNS name. Pure."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

DNS_NAME_MAX = 255  # characters, the dots not counted
SUBDOMAIN_MAX = 253
_LABEL = "[a-zA-Z0-9_][a-zA-Z0-9_-]{0,62}"
_DNS_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*[._]?")
_PART = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_PART}(\.{_PART})*")
_DECIMALS = re.compile(r"[0-9]{1,3}")


def is_ip(text: str) -> bool:
    """Of either family, without a zone of an interface."""
    try:
        return "%" not in text and ip_address(text) is not None
    except ValueError:
        return False


def is_cidr(text: str) -> bool:
    """An address and the length of its prefix. What stands behind the prefix does not matter."""
    address, slash, length = text.partition("/")
    if not slash or not is_ip(address) or not _DECIMALS.fullmatch(length):
        return False
    return int(length) <= ip_network(address).max_prefixlen


def is_dns_name(text: str) -> bool:
    """Letters of either case, underscores and a dot at the end are allowed; an IP is no name."""
    if len(text.replace(".", "")) > DNS_NAME_MAX or is_ip(text):
        return False
    return _DNS_NAME.fullmatch(text) is not None


def is_subdomain(text: str) -> bool:
    """What Kubernetes takes as a DNS subdomain: lower case."""
    return len(text) <= SUBDOMAIN_MAX and _SUBDOMAIN.fullmatch(text) is not None
