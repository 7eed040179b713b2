"""`reconciler render` reads the repository as the global does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from reconciler.cli.main import main
from tests.support.git_repos import PolicyRepo, git

if TYPE_CHECKING:
    from pathlib import Path

MESH = """
type: Mesh
name: default
mtls: {enabledBackend: ca-1, backends: [{name: ca-1, type: builtin}]}
"""
PROXY = """
type: Dataplane
mesh: default
name: web
networking:
  address: 10.0.0.1
  inbound: [{port: 80, tags: {kuma.io/service: web}}]
  outbound: [{port: 81, tags: {kuma.io/service: backend}}]
"""
INGRESS = """
type: ZoneIngress
name: zi
networking: {address: 10.0.0.9, port: 10001, advertisedAddress: 10.0.0.9, advertisedPort: 10001}
availableServices: [{tags: {kuma.io/service: backend}, instances: 1, mesh: default}]
"""


def render(work: Path, proxy: Path, *more: str) -> int:
    return main(["render", str(work), "--file", str(proxy), "--dataplane", "web", *more])


@pytest.mark.parametrize("rev", [(), ("--rev", "HEAD")])
def test_policies_are_those_of_the_policy_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rev: tuple[str, ...]
) -> None:
    repo = PolicyRepo.create(tmp_path, {"p/m.yaml": MESH, "other/x.yaml": "{"})
    proxy = tmp_path / "web.yaml"
    proxy.write_text(PROXY)
    assert render(repo.work, proxy, "--policy-path", "/p", *rev) == 0, capsys.readouterr().err


def test_status_that_cannot_be_read_is_left_out_and_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = PolicyRepo.create(tmp_path, {"m.yaml": MESH})
    proxy = tmp_path / "web.yaml"
    proxy.write_text(PROXY)
    for zone, text in (("odd", "- a list\n"), ("west", INGRESS)):
        git(repo.work, "switch", "--quiet", "--orphan", f"status/{zone}")
        repo.commit({"ingress.yaml": text})
    git(repo.work, "switch", "--quiet", "main")
    git(repo.work, "symbolic-ref", "refs/heads/status/lost", "refs/heads/nowhere")
    blob = git(repo.work, "rev-parse", "main:m.yaml")
    (repo.work / ".git/refs/heads/status/none").write_text(f"{blob}\n")
    assert render(repo.work, proxy) == 0
    shown = capsys.readouterr()
    assert "10.0.0.9" in json.dumps(json.loads(shown.out))
    assert "the status of zone odd is left out: ingress.yaml" in shown.err


def test_the_defaults_of_a_mesh_shape_a_proxy_and_are_named_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = PolicyRepo.create(tmp_path, {"m.yaml": MESH})
    proxy = tmp_path / "web.yaml"
    proxy.write_text(PROXY)
    assert render(repo.work, proxy, "--explain") == 0
    origins = json.loads(capsys.readouterr().out)["origins"]
    default = "MeshTimeout default/mesh-timeout-all-default (a default of the mesh)"
    assert default in origins["Cluster backend"]
    repo.commit({"m.yaml": MESH + "skipCreatingInitialPolicies: [MeshTimeout]\n"})
    assert render(repo.work, proxy, "--explain") == 0
    assert default not in capsys.readouterr().out
