"""What the zone is told of a host that redirects traffic: the keys of kuma-dp."""

from __future__ import annotations

import pytest

from reconciler.bootstrap_request import BootstrapRequest, request_of
from reconciler.redirected import Redirected, announced


def test_defaults_are_the_peers_ports() -> None:
    assert announced(Redirected()) == {
        "dataplaneConfig": {
            "ipFamilyMode": "dualstack",
            "redirect": {
                "inbound": {"enabled": True, "port": 15006},
                "outbound": {"enabled": True, "port": 15001},
                "dns": {"enabled": True, "port": 15054},
            },
        },
        "dnsPort": 15054,
        "ipv6Enabled": True,
    }
    assert announced(None) == {}


@pytest.mark.parametrize("way", ["inbound", "outbound", "dns"])
def test_each_way_can_be_off(way: str) -> None:
    off = Redirected(**{f"{way}_port": None})  # type: ignore[arg-type]
    told = announced(off)
    config = told["dataplaneConfig"]
    assert isinstance(config, dict)
    assert config["redirect"][way] == {"enabled": False, "port": 0}
    assert [name for name, each in config["redirect"].items() if not each["enabled"]] == [way]
    assert ("dnsPort" in told) is (way != "dns")


def test_ipv4_alone_says_so() -> None:
    told = announced(Redirected(family="ipv4"))
    config = told["dataplaneConfig"]
    assert isinstance(config, dict)
    assert (config["ipFamilyMode"], told["ipv6Enabled"]) == ("ipv4", False)


def test_the_zone_is_told_where_envoy_tells_names_and_not_where_they_are_asked_for() -> None:
    told = announced(Redirected(dns_port=53, envoy_dns_port=54))
    assert told["dnsPort"] == 54


def test_our_zone_understands_it() -> None:
    found = request_of(dict(announced(Redirected())))
    assert isinstance(found, BootstrapRequest)
    assert (found.redirects, found.dns_port, found.ipv6) == (True, 15054, True)
    assert "transparentProxy" in found.metadata
