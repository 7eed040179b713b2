"""What a refusal at a port names can be set, and is what its server then has."""

from __future__ import annotations

import argparse

import pytest

from reconciler.api.door import DoorLimits
from reconciler.cli.port_limits import add_ads, add_door, ads_limits, door_limits
from xds.server import AdsLimits


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(exit_on_error=False)
    add_door(made)
    add_ads(made)
    return made


def test_without_options_the_limits_are_the_servers_own() -> None:
    args = parser().parse_args([])
    assert door_limits(args) == DoorLimits()
    assert ads_limits(args) == AdsLimits()


def test_every_limit_is_a_setting() -> None:
    door = "--door-waiting-max 1 --door-open-max 2 --door-hello-timeout 3 --door-idle-timeout 4"
    ads = "--ads-streams-max 5 --ads-request-bytes 6 --ads-first-request 7"
    args = parser().parse_args(f"{door} {ads}".split())
    assert door_limits(args) == DoorLimits(waiting=1, open=2, hello_s=3.0, idle_s=4.0)
    assert ads_limits(args) == AdsLimits(streams=5, request_bytes=6, first_request_s=7.0)


@pytest.mark.parametrize("option", ["--door-open-max", "--door-idle-timeout", "--ads-streams-max"])
def test_a_limit_of_nothing_is_refused(option: str) -> None:
    with pytest.raises(argparse.ArgumentError):
        parser().parse_args([option, "0"])
