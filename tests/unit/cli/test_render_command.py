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
    asked = ("--explain", "--only", "Cluster backend connectTimeout")
    assert render(repo.work, proxy, *asked) == 0
    assert capsys.readouterr().out == (
        "Cluster backend\n"
        '  connectTimeout: "5s"\n'
        "    <- a default of the mesh  MeshTimeout default/mesh-timeout-all-default  "
        "spec.to[0].default.connectionTimeout\n"
    )
    repo.commit({"m.yaml": MESH + "skipCreatingInitialPolicies: [MeshTimeout]\n"})
    assert render(repo.work, proxy, *asked) == 0
    assert "a default of the mesh" not in capsys.readouterr().out


@pytest.mark.parametrize("rev", [(), ("--rev", "HEAD")])
def test_places_are_those_of_the_files_that_were_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rev: tuple[str, ...]
) -> None:
    """Also of a commit, inside a policy path; a proxy's own by the name it was given with."""
    item = "{targetRef: {kind: Mesh}, default: {connectionTimeout: 2s}}"
    policy = f"# first\ntype: MeshTimeout\nmesh: default\nname: a\nspec:\n  to: [{item}]\n"
    repo = PolicyRepo.create(tmp_path, {"p/m.yaml": MESH, "p/t.yaml": policy})
    proxy = tmp_path / "web.yaml"
    proxy.write_text(PROXY)
    asked = ("--policy-path", "p", *rev, "--explain", "--format", "json")
    assert render(repo.work, proxy, *asked) == 0
    values = json.loads(capsys.readouterr().out)["values"]
    timeouts = {v["resource"]: v for v in values if v["path"] == "connectTimeout"}
    assert timeouts["Cluster backend"]["from"][0]["at"] == "t.yaml:6:63"
    ports = [v for v in values if v["path"] == "address.socketAddress.portValue"]
    assert {v["from"][0]["at"] for v in ports} == {f"{proxy}:7:20", f"{proxy}:8:21"}


def test_shadow_policies_are_enforced_only_where_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    item = "{targetRef: {kind: Mesh}, default: {connectionTimeout: 2s}}"
    policy = "type: MeshTimeout\nmesh: default\nname: a\nlabels: {kuma.io/effect: shadow}\n"
    repo = PolicyRepo.create(
        tmp_path, {"m.yaml": MESH, "t.yaml": f"{policy}spec: {{to: [{item}]}}"}
    )
    proxy = tmp_path / "web.yaml"
    proxy.write_text(PROXY)
    found = []
    for more in ((), ("--shadow",)):
        assert render(repo.work, proxy, *more) == 0
        shown = json.loads(capsys.readouterr().out)
        timeouts = {c["name"]: c["connectTimeout"] for c in shown["clusters"]}
        found.append((timeouts["backend"], shown["shadow"]["enforced"]))
    assert found == [("5s", False), ("2s", True)]
    assert shown["shadow"]["changes"] == [
        {"resource": "Cluster backend", "path": "connectTimeout", "now": "5s", "then": "2s"}
    ]


def test_an_egress_shows_its_ways_and_the_names_of_secrets_without_their_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = PolicyRepo.create(
        tmp_path,
        {
            "m.yaml": f"{MESH}routing: {{zoneEgress: true}}\n",
            "secrets.yaml": "secrets: [{mesh: default, name: pay-ca, file: ca.pem}]\n",
            "pay.yaml": (
                "type: ExternalService\nmesh: default\nname: pay\ntags: {kuma.io/service: pay}\n"
                "networking: {address: 'pay.example:443',"
                " tls: {enabled: true, caCert: {secret: pay-ca}}}\n"
            ),
        },
    )
    egress = tmp_path / "out.yaml"
    egress.write_text("type: ZoneEgress\nname: out\nnetworking: {address: 10.0.0.8, port: 10002}\n")
    asked = ["render", str(repo.work), "--file", str(egress), "--dataplane", "out", "--mesh", ""]
    assert main(asked) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [c["name"] for c in shown["clusters"]] == ["default:pay"]
    assert len(shown["clusters"][0]["loadAssignment"]["endpoints"]) == 1
    (chain,) = shown["listeners"][0]["filterChains"]
    assert chain["filterChainMatch"]["serverNames"] == ["pay{mesh=default}"]
    assert "external_ca:secret:default:pay" in [secret["name"] for secret in shown["secrets"]]
