"""The systemd units start commands that exist, with the example files beside them, and with no
more rights than they need.
"""

from __future__ import annotations

import configparser
import pwd
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.cli.main import COMMANDS, main
from reconciler.cli.running import STOP_WITHIN_S

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

FOLDER = Path(__file__).parents[2] / "systemd"
UNITS = {
    "global": "mesh-reconciler-global.service",
    "zone": "mesh-reconciler-zone.service",
    "dataplane": "mesh-reconciler-dataplane@.service",
    "install": "mesh-reconciler-transparent-proxy.service",
}
EXAMPLES = {
    "global": "global.toml",
    "zone": "zone.toml",
    "dataplane": "web.toml",
    "install": "transparent-proxy.toml",
}
RIGHTS = {"install": "CAP_NET_ADMIN"}


def service(role: str) -> Mapping[str, str]:
    unit = configparser.ConfigParser(strict=True, interpolation=None, delimiters="=")
    unit.optionxform = str  # type: ignore[method-assign,assignment]  # names of units have case
    unit.read_string((FOLDER / UNITS[role]).read_text())
    assert unit["Install"]["WantedBy"] == "multi-user.target"
    return unit["Service"]


@pytest.mark.parametrize("role", UNITS)
def test_the_unit_starts_a_command_that_takes_its_options_and_the_example(
    role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = service(role)["ExecStart"].split()
    assert words[:2] == ["/opt/reconciler/bin/reconciler", role]
    found: list[argparse.Namespace] = []
    (command,) = (c for c in COMMANDS if c.name == role)

    def run(args: argparse.Namespace) -> int:
        found.append(args)
        return 0

    monkeypatch.setattr(import_module(command.module), "run", run)
    monkeypatch.setattr("pwd.getpwnam", lambda name: {"reconciler": pwd.getpwuid(0)}[name])
    at = words.index("--config") + 1
    words[at] = str(FOLDER / EXAMPLES[role])
    assert main(words[1:]) == 0
    assert vars(found[0])["config"] == FOLDER / EXAMPLES[role]


@pytest.mark.parametrize("role", UNITS)
def test_the_unit_has_no_rights_that_it_does_not_need(role: str) -> None:
    unit = service(role)
    assert unit["User"] == "reconciler"
    assert unit["NoNewPrivileges"] == "yes"
    assert unit["CapabilityBoundingSet"] == RIGHTS.get(role, "")
    assert unit["AmbientCapabilities"] == RIGHTS.get(role, "")
    assert unit["ProtectSystem"] == "strict"
    assert unit["UMask"] == "0077"
    if role in {"global", "zone"}:
        assert unit["StateDirectoryMode"] == "0700"


@pytest.mark.parametrize("role", ["global", "zone"])
def test_the_manager_hears_of_readiness_and_waits_long_enough_for_the_end(role: str) -> None:
    unit = service(role)
    assert unit["Type"] == "notify"
    assert int(unit["WatchdogSec"]) > 0
    assert int(unit["TimeoutStopSec"]) > STOP_WITHIN_S


def test_the_proxys_program_alone_is_told_to_end() -> None:
    """It takes the proxy out of its callers' endpoints before Envoy ends; a manager that told all
    processes of the unit would end Envoy under their calls.
    """
    assert service("dataplane")["KillMode"] == "mixed"


def test_what_redirects_is_taken_away_by_the_user_that_the_proxy_is() -> None:
    """Who flushes all rules, as nftables.service does, has them made again."""
    unit = service("install")
    assert unit["ExecStop"].split()[1:] == ["uninstall", "transparent-proxy"]
    assert unit["ExecReload"] == unit["ExecStart"]
    example = (FOLDER / EXAMPLES["install"]).read_text()
    assert f'proxy-user = "{service("dataplane")["User"]}"' in example


def test_examples_hold_no_secret() -> None:
    for name in EXAMPLES.values():
        assert not re.search(r"eyJ|PRIVATE KEY|://[^/]*:[^/]*@", (FOLDER / name).read_text())
