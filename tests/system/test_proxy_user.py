"""Whose traffic comes back on a host that redirects it, and whom `dataplane --run-as` becomes.
Needs root and nftables, in namespaces of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.proxy_user import NOBODYS, comes_back
from reconciler.redirected import OUTBOUND_PORT, PROXY_UID
from tests.support.namespaces import Namespace, cable, namespaces, v4
from tests.support.switched import raw, segment

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]
RULES = f"""
add table ip t
add chain ip t out {{ type nat hook output priority -100; }}
add rule ip t out meta skuid {PROXY_UID} return
add rule ip t out meta l4proto tcp redirect to :{OUTBOUND_PORT}
"""


@pytest.fixture
def around() -> Iterator[Namespace]:
    """What `host` is connected to."""
    with namespaces("redirecting", "around") as (made, around):
        cable(made, around, 1)
        made.ip("route", "add", "default", "via", v4(1, 2))
        yield around


@pytest.fixture
def host(around: Namespace) -> Namespace:
    assert around is not None
    return Namespace("redirecting")


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that other users may walk through, unlike pytest's own."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


def test_a_connection_comes_back_from_anybody_but_the_user_of_the_rules(host: Namespace) -> None:
    def tried(uid: int) -> bool:
        return host.within(lambda: comes_back(OUTBOUND_PORT), uid=uid)

    assert not tried(0)
    host.says("nft", RULES)
    assert tried(0)
    assert tried(1234)
    assert not tried(PROXY_UID)


def test_a_connection_comes_back_to_who_listens_there_already(host: Namespace) -> None:
    host.says("nft", RULES)
    here = ("127.0.0.1", OUTBOUND_PORT)
    with host.within(lambda: socket.create_server(here), uid=PROXY_UID):
        assert host.within(lambda: comes_back(OUTBOUND_PORT))


def command(folder: Path, *options: str) -> list[str]:
    document = {"type": "Dataplane", "name": "web-1", "networking": {"address": "127.0.0.1"}}
    (folder / "dp.yaml").write_text(json.dumps(document))
    (folder / "token").write_text("aa.bb.cc")
    return [
        sys.executable, "-m", "reconciler.cli.main", "dataplane", "--file", str(folder / "dp.yaml"),
        "--token-file", str(folder / "token"), "--zone-address", "https://127.0.0.1:x",
        "--workdir", str(folder / "proxy"), *options,
    ]  # fmt: skip


def test_a_proxy_whose_own_traffic_would_come_back_does_not_start(
    host: Namespace, folder: Path
) -> None:
    host.says("nft", RULES)
    done = host.run(*command(folder, "--transparent-proxy"))
    assert done.returncode == 2
    assert "would come back to it without end" in done.stderr
    done = host.run(*command(folder, "--transparent-proxy", "--redirect-outbound-port", "off"))
    assert "warning: this proxy runs as user 0" in done.stderr
    done = host.run(*command(folder))
    assert "come back" not in done.stderr
    shutil.rmtree(folder / "proxy")
    done = host.run(*command(folder, "--transparent-proxy", "--run-as", str(PROXY_UID)))
    assert "come back" not in done.stderr
    assert "--zone-address must be" in done.stderr  # As far as that.


def test_the_user_has_what_it_needs_and_nothing_of_root(host: Namespace, folder: Path) -> None:
    argv = command(folder, "--run-as", str(PROXY_UID))
    done = host.run(*argv)
    assert "--zone-address must be" in done.stderr
    assert (folder / "proxy").stat().st_uid == PROXY_UID
    done = host.run(*argv[:-2], "--run-as", "root")
    assert done.returncode == 2
    assert "does not belong to user 0" in done.stderr
    os.chown(folder / "proxy", 0, 0)
    done = host.run(*argv)
    assert f"does not belong to user {PROXY_UID}" in done.stderr


def test_it_becomes_the_user_wholly(host: Namespace) -> None:
    program = (
        "from reconciler.proxy_user import User, become\n"
        "become(User(5678, 5679))\nprint(open('/proc/self/status').read())"
    )
    status = host.says("setpriv", "--groups", "4,24", sys.executable, "-c", program)
    said = dict(line.partition(":\t")[::2] for line in status.splitlines())
    assert (said["Uid"], said["Gid"]) == ("\t".join(["5678"] * 4), "\t".join(["5679"] * 4))
    assert said["Groups"].strip() == ""
    assert int(said["CapEff"], 16) == int(said["CapPrm"], 16) == 0


def test_the_user_runs_an_envoy_that_is_where_only_root_may_look(
    host: Namespace, folder: Path
) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    shutil.copy("/bin/sh", closed / "envoy")
    program = (
        "import subprocess, sys; from pathlib import Path\n"
        "from reconciler.dataplane import Program, opened\n"
        "from reconciler.proxy_user import User, become\n"
        "path = Path(sys.argv[1]); envoy = opened(path); become(User(5678, 5678))\n"
        "def says(each):\n"
        "    return subprocess.run(['sh', '-c', 'id -u'], executable=each.executable,\n"
        "        pass_fds=each.passed, capture_output=True, text=True, check=True).stdout\n"
        "print(says(envoy))\n"
        "try: says(Program(path))\n"
        "except PermissionError: print('closed')"
    )
    said = host.says(sys.executable, "-c", program, closed / "envoy")
    assert said.split() == ["5678", "closed"]


def test_the_connection_that_is_tried_is_lost_at_the_first_router(around: Namespace) -> None:
    """No other network sees it."""
    host = Namespace("redirecting")
    with around.within(lambda: raw("eth1")) as wire:
        wire.settimeout(5)
        assert not host.within(lambda: comes_back(OUTBOUND_PORT))
        while (found := segment(frame := wire.recv(2000))) is None or found.target != NOBODYS[0]:
            pass
    assert frame[22] == 1  # its time to live


def test_only_root_makes_it_somebody_else(host: Namespace, folder: Path) -> None:
    argv = [each for each in command(folder, "--run-as", "1234") if "proxy" not in each]
    argv.remove("--workdir")
    done = host.run(*argv, capabilities=["net_admin"])
    assert done.returncode == 2
    assert "only root can start a proxy as another user" in done.stderr
