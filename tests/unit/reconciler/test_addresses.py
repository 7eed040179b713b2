"""Addresses and names, as Kuma's API takes them."""

from __future__ import annotations

import pytest

from reconciler.addresses import is_cidr, is_dns_name, is_ip, is_subdomain


@pytest.mark.parametrize(
    ("text", "takes"),
    [
        ("192.0.2.1", True),
        ("2001:db8::1", True),
        ("::ffff:192.0.2.1", True),
        ("fe80::1%eth0", False),
        ("01.2.3.4", False),
        ("192.0.2", False),
        ("", False),
    ],
)
def test_an_ip_is_of_either_family_and_of_no_interface(text: str, takes: bool) -> None:
    assert is_ip(text) is takes


@pytest.mark.parametrize(
    ("text", "takes"),
    [
        ("10.0.0.0/8", True),
        ("10.1.2.3/8", True),
        ("::/0", True),
        ("10.0.0.0/33", False),
        ("::/129", False),
        ("10.0.0.0", False),
        ("10.0.0.0/", False),
        ("10.0.0.0/255.0.0.0", False),
        ("/8", False),
    ],
)
def test_a_range_is_an_address_and_the_length_of_its_prefix(text: str, takes: bool) -> None:
    assert is_cidr(text) is takes


@pytest.mark.parametrize(
    ("text", "name", "subdomain"),
    [
        ("api.example.com", True, True),
        ("A_b.example.", True, False),
        ("*.example.com", False, False),
        ("-a.b", False, False),
        ("a..b", False, False),
        ("192.0.2.1", False, True),
        ("a" * 63, True, True),
        ("a" * 64, False, True),
        ("a" * 254, False, False),
        ("a\n", False, False),
        ("", False, False),
    ],
)
def test_names_of_dns_and_of_kubernetes(text: str, name: bool, subdomain: bool) -> None:
    assert (is_dns_name(text), is_subdomain(text)) == (name, subdomain)
