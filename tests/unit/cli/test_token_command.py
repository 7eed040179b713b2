"""`reconciler token` as a person meets it: what it issues verifies, refusals say the cure."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from reconciler.ca import keys
from reconciler.ca.tokens import Claims, Refused, allows_dataplane, allows_zone, verify
from reconciler.cli.main import main
from reconciler.keys.join import read_join
from reconciler.keys.secret_store import FileSecrets
from reconciler.keys.server_certificate import server_tls
from reconciler.keys.system_resources import SystemResources
from tests.support.mesh import a_mesh

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_800_000_000.0


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr("reconciler.cli.token.time.time", lambda: NOW)
    return NOW


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """What a global leaves that ran once with the mesh `default`."""
    system = SystemResources(FileSecrets(tmp_path / "state" / "secrets"))
    system.prepare(earlier_fleet=None, new_keys=False)
    system.resources([a_mesh()])
    server_tls(tmp_path / "state", "global", ("Global.example",), NOW)
    return tmp_path / "state"


def verified(state: Path, token: str, secret: str, now: float) -> Claims:
    key = FileSecrets(state / "secrets").get(secret)
    assert key is not None
    verdict = verify(token.strip(), {"1": key}, now)
    assert isinstance(verdict, Claims), verdict
    return verdict


def test_dataplane_token_holds_its_limits(state: Path, now: float, tmp_path: Path) -> None:
    out = tmp_path / "web.token"
    code = main(
        ["token", "dataplane", "--name", "web-1", "--tag", "team=a", "--tag", "team=b,c",
         "--workload", "web", "--valid-for", "24h", "--state-dir", str(state), "--out", str(out)]
    )  # fmt: skip
    assert code == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    secret = f"{keys.dataplane_signing_key('default')}1"
    claims = verified(state, out.read_text(), secret, now + 86_399)
    assert claims.tags == {"team": ("a", "b", "c")}
    assert (claims.mesh, claims.name, claims.workload) == ("default", "web-1", "web")
    tags = {"team": frozenset({"b"})}
    assert allows_dataplane(claims, "default", "web-1", tags, "web") is None
    assert isinstance(allows_dataplane(claims, "default", "web-2", tags, "web"), Refused)


def test_join_file_opens_its_zone_only(state: Path, now: float, tmp_path: Path) -> None:
    out = tmp_path / "east.join"
    arguments = ["--global", "grpcs://global.example:5685", "--state-dir", str(state)]
    assert main(["token", "zone", "east", *arguments, "--out", str(out)]) == 0
    join = read_join(out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert join.target == ("global.example", 5685, True)
    assert join.ca_pem == (state / "tls" / "ca.pem").read_text()
    # And lets this global take over a zone that holds the keys of another.
    assert join.cluster.encode() == FileSecrets(state / "secrets").get("kuma-cluster-id")
    claims = verified(state, join.token, f"{keys.ZONE_SIGNING_KEY}1", now)
    assert allows_zone(claims, "east", "cp") is None
    assert isinstance(allows_zone(claims, "west", "cp"), Refused)
    assert isinstance(allows_zone(claims, "east", "ingress"), Refused)


def test_zone_proxy_token_is_printed(
    state: Path, now: float, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--zone", "east", "--scope", "ingress", "--state-dir", str(state)]
    assert main(["token", "zone-proxy", *arguments]) == 0
    token = capsys.readouterr().out
    claims = verified(state, token, f"{keys.ZONE_SIGNING_KEY}1", now)
    assert allows_zone(claims, "east", "ingress") is None
    assert isinstance(allows_zone(claims, "east", "cp"), Refused)


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        (["dataplane", "--mesh", "none-such"], "makes it with the mesh"),
        (["dataplane", "--mesh", "../secrets"], "makes it with the mesh"),
        (["dataplane", "--tag", "team"], "KEY=VALUE"),
        (["dataplane", "--tag", "=a"], "KEY=VALUE"),
        (["dataplane", "--tag", "team=a,,b"], "KEY=VALUE"),
        (["zone", "global", "--global", "grpcs://g:1", "--out", "x"], '"global"'),
        (["zone", "East!", "--global", "grpcs://g:1", "--out", "x"], "a-z"),
        (["zone", "east", "--global", "https://g:1", "--out", "x"], "grpcs://host:port"),
        (["zone", "east", "--global", "grpcs://g:99999", "--out", "x"], "grpcs://host:port"),
        (["zone", "east", "--global", "grpcs://127.0.0.1:1", "--out", "nowhere/x"], "nowhere"),
        (["zone", "east", "--global", "grpcs://g:1", "--out", "x"], "--tls-host g"),
        (["zone-proxy", "--zone", "", "--scope", "ingress"], "every zone"),
    ],
)
def test_what_cannot_be_issued_says_the_cure(
    state: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    cure: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["token", *arguments, "--state-dir", str(state)]) == 2
    output = capsys.readouterr()
    assert cure in output.err
    assert output.out == ""
    assert not (tmp_path / "x").exists()


def test_other_directory_than_a_globals_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["token", "dataplane", "--state-dir", str(tmp_path)]) == 2
    assert "is not the state directory of a global" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["dataplane", "zone", "zone-proxy"])
def test_help_of_each_kind_has_an_example(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["token", kind, "--help"])
    assert ended.value.code == 0
    assert f"example: reconciler token {kind}" in capsys.readouterr().out
