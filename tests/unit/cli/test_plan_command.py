"""`reconciler plan` on real repositories: what it compares, what it says, how it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.cli.main import main
from reconciler.status.document import Inventory
from tests.support.forges import TOKEN, ForgeState, forge
from tests.support.git_repos import PolicyRepo, git
from tests.support.plans import Document, dataplane, ingress, ingresses_of, loaded, real_zone
from tests.support.status_refs import commit_status

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MESH = """\
type: Mesh
name: default
mtls:
  enabledBackend: ca-1
  backends: [{name: ca-1, type: builtin}]
"""
ALLOW = """\
type: MeshTrafficPermission
mesh: default
name: allow
spec:
  from:
    - targetRef: {kind: Mesh}
      default: {action: Allow}
"""
TIMEOUT = """\
type: MeshTimeout
mesh: default
name: aa
spec:
  to:
    - targetRef: {kind: MeshService, name: backend}
      default: {http: {requestTimeout: 7s}}
"""
FILES = {"mesh.yaml": MESH, "allow.yaml": ALLOW, "timeout.yaml": TIMEOUT}


def fleet(zone: str) -> list[Document]:
    net = "10.0.1" if zone == "east" else "10.0.2"
    return [
        ingress(zone, f"{net}.1"),
        dataplane("web-1", f"{net}.2", "web", ["backend"]),
        dataplane("web-2", f"{net}.3", "web", ["backend"]),
        dataplane("backend-1", f"{net}.4", "backend"),
    ]


@pytest.fixture
def repo(tmp_path: Path) -> PolicyRepo:
    """Main is in force in two zones, which have told of it; the work tree is on `proposal`."""
    found = PolicyRepo.create(tmp_path, FILES)
    commit = loaded(FILES.values())
    told: dict[str, Mapping[str, bytes]] = {
        zone: real_zone(zone, commit, fleet(zone)).status_files(Inventory.CLASSES)
        for zone in ("east", "west")
    }
    for zone, other in (("east", "west"), ("west", "east")):
        relayed = ingresses_of(other, told[other])
        files = real_zone(zone, commit, fleet(zone), relayed).status_files(Inventory.CLASSES)
        commit_status(found.bare, f"refs/heads/status/{zone}", files, None)
    git(found.work, "fetch", "--quiet", "origin")
    git(found.work, "checkout", "--quiet", "-b", "proposal")
    return found


def planned(repo: PolicyRepo, *options: str) -> list[str]:
    return ["plan", "main..proposal", "--repo", str(repo.work), *options]


def as_json(repo: PolicyRepo, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    assert main(planned(repo, "--format", "json", *options)) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_denied_caller_is_a_way_that_closes_with_the_policy_and_its_line(
    repo: PolicyRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.commit({"allow.yaml": "# who may call\n" + ALLOW.replace("Allow}", "Deny}")})
    assert main(planned(repo)) == 0
    out = capsys.readouterr().out
    assert out.startswith("Risk high: 6 of 6 proxies get another configuration")
    assert (
        "  x web → backend in default: open → denied  [east, east → west, west → east, west]"
        "  by MeshTrafficPermission default/allow (allow.yaml:2:1)\n"
    ) in out
    assert "      from[0].default.action: Allow → Deny\n" in out


def test_a_timeout_is_told_to_whom_it_concerns(
    repo: PolicyRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.commit({"timeout.yaml": TIMEOUT.replace("7s", "3s")})
    found = as_json(repo, capsys)
    assert found["risk"] | {"drained": 0} == {
        "level": "medium", "proxies": 6, "touched": 4, "drained": 0, "removed": 0, "closed": 0,
        "opened": 0, "weakerTls": 0, "refused": 0, "deadEnds": 0, "otherCa": 0,
        "unknown": "",
    }  # fmt: skip
    (setting,) = found["settings"]
    assert setting["fields"] == [
        {"field": "http.requestTimeout", "before": '"7s"', "after": '"3s"'}
    ]
    assert (setting["kind"], setting["direction"], setting["other"]) == (
        "MeshTimeout", "to", "backend",
    )  # fmt: skip
    assert setting["for"] == [
        {"zone": "east", "services": "web", "proxies": 2},
        {"zone": "west", "services": "web", "proxies": 2},
    ]
    (group,) = found["zones"][0]["groups"]
    assert (group["proxies"], group["of"]) == (2, 2)
    assert [(c["change"], c["type"], c["name"]) for c in group["changes"]] == [
        ("changed", "Listener", "outbound:127.0.0.1:10001")
    ]
    assert "timeout.yaml" in [policy["path"] for policy in group["changes"][0]["policies"]]


def test_the_exact_difference_is_shown_when_asked_for(
    repo: PolicyRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.commit({"timeout.yaml": TIMEOUT.replace("7s", "3s")})
    assert main(planned(repo, "--xds")) == 0
    out = capsys.readouterr().out
    assert '-                        "timeout": "7s"' in out
    assert '+                        "timeout": "3s"' in out


def test_another_form_of_the_same_is_no_change(
    repo: PolicyRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.commit({"allow.yaml": "# a comment\n" + ALLOW, "deep/timeout.yaml": TIMEOUT})
    (repo.work / "timeout.yaml").unlink()
    repo.commit({})
    assert main(planned(repo, "--exit-code")) == 0
    assert capsys.readouterr().out == "No change: what the documents mean is the same.\n"


def test_a_change_that_is_asked_for_by_its_exit_code(repo: PolicyRepo) -> None:
    repo.commit({"timeout.yaml": TIMEOUT.replace("7s", "3s")})
    assert main(planned(repo, "--exit-code")) == 1


def test_a_branch_behind_its_base_undoes_nothing(
    repo: PolicyRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    """What main has got meanwhile is no part of the change; a file both changed is merged."""
    repo.commit({"timeout.yaml": TIMEOUT.replace("7s", "3s")})
    git(repo.work, "checkout", "--quiet", "main")
    repo.commit(
        {"allow.yaml": ALLOW.replace("Allow}", "Deny}"), "timeout.yaml": "# ours\n" + TIMEOUT}
    )
    found = as_json(repo, capsys)
    assert [(r["change"], r["name"]) for r in found["resources"]] == [("changed", "aa")]
    assert found["resources"][0]["line"] == 2


def test_what_cannot_be_merged_is_named(
    repo: PolicyRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.commit({"timeout.yaml": TIMEOUT.replace("7s", "3s")})
    git(repo.work, "checkout", "--quiet", "main")
    repo.commit({"timeout.yaml": TIMEOUT.replace("7s", "5s")})
    assert main(planned(repo)) == 2
    said = capsys.readouterr().err
    assert said == "cannot be merged: timeout.yaml; rebase the change on its base\n"


def test_a_mistake_is_told_with_its_line_and_changes_nothing(
    repo: PolicyRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.commit({"timeout.yaml": TIMEOUT.replace("7s", "soon")})
    assert main(planned(repo)) == 1
    said = capsys.readouterr().err
    assert said.startswith("timeout.yaml:7:40: ")
    assert "has errors: it would change nothing anywhere" in said


@pytest.mark.parametrize("text", ["main", "main..", "..proposal", "nowhere..proposal"])
def test_a_range_that_is_none_is_refused(
    repo: PolicyRepo, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert main(["plan", text, "--repo", str(repo.work)]) == 2
    assert capsys.readouterr().err


def test_without_status_refs_it_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = PolicyRepo.create(tmp_path, FILES)
    git(repo.work, "checkout", "--quiet", "-b", "proposal")
    repo.commit({"timeout.yaml": TIMEOUT.replace("7s", "3s")})
    assert main(planned(repo)) == 0
    said = capsys.readouterr()
    assert "fetch those refs" in said.err
    assert "http.requestTimeout" in said.out


def test_a_mesh_that_goes_leaves_its_proxies_as_they_are(
    repo: PolicyRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in FILES:
        (repo.work / path).unlink()
    repo.commit({"other.yaml": "type: Mesh\nname: other\n"})
    found = as_json(repo, capsys)
    assert found["risk"]["level"] == "high"
    assert found["risk"]["touched"] == 6
    (east, _) = found["zones"]
    lefts = {group["left"] for group in east["groups"] if not group["ingress"]}
    assert lefts == {"the mesh default is gone"}
    assert [(e["caller"], e["service"], e["closes"]) for e in found["edges"]] == [
        ("web", "backend", True)
    ]


def test_weaker_mtls_is_a_high_risk(repo: PolicyRepo, capsys: pytest.CaptureFixture[str]) -> None:
    permissive = MESH.replace("type: builtin", "type: builtin, mode: PERMISSIVE")
    repo.commit({"mesh.yaml": permissive})
    found = as_json(repo, capsys)
    assert found["tls"] == [
        {"mesh": "default", "before": "STRICT", "after": "PERMISSIVE", "weaker": True,
         "otherCa": False}
    ]  # fmt: skip
    assert found["risk"]["level"] == "high"


def test_whom_a_mesh_would_not_take_again_is_told(
    repo: PolicyRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = "constraints: {dataplaneProxy: {restrictions: [{tags: {kuma.io/service: backend}}]}}\n"
    repo.commit({"mesh.yaml": MESH + rule})
    found = as_json(repo, capsys)
    (refused,) = found["zones"][0]["refused"]
    assert (refused["services"], refused["proxies"]) == ("backend", 1)
    assert "restricted tags" in refused["reason"]
    assert (found["risk"]["level"], found["risk"]["refused"]) == ("high", 2)
    assert found["edges"] == []


def test_the_comment_cannot_be_forged(repo: PolicyRepo, capsys: pytest.CaptureFixture[str]) -> None:
    """A pull request from a fork is a stranger's text."""
    forged = "`<|details> @everyone ![x](203.0.113.1)"
    (repo.work / "timeout.yaml").unlink()
    repo.commit({f"{forged}.yaml": TIMEOUT.replace("7s", "3s")})
    assert main(planned(repo, "--format", "markdown")) == 0
    out = capsys.readouterr().out
    assert out.startswith("<!-- mesh-reconciler plan -->\n### Mesh plan for `")
    (row,) = [line for line in out.splitlines() if line.startswith("- ~")]
    shown = forged.replace("|", "\N{BROKEN BAR}")
    assert row == f"- ~ `MeshTimeout default/aa` `` {shown}.yaml:1:1 ``"
    block = out.partition("```diff")[2]
    assert "\n</details>" not in block.partition("```")[0]


def test_a_shadow_policy_changes_nothing_and_shows_what_it_would_do(
    repo: PolicyRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    deny = ALLOW.replace("name: allow\n", "name: a\nlabels: {kuma.io/effect: shadow}\n")
    repo.commit({"shadow.yaml": deny.replace("Allow}", "Deny}")})
    found = as_json(repo, capsys)
    assert (found["risk"]["touched"], found["edges"]) == (0, [])
    shadow = found["shadow"]
    assert shadow["risk"]["level"] == "high"
    assert [(e["caller"], e["service"], e["after"]) for e in shadow["edges"]] == [
        ("web", "backend", "DENIED")
    ]
    assert shadow["edges"][0]["policies"][-1]["path"] == "shadow.yaml"
    assert main(planned(repo)) == 0
    out = capsys.readouterr().out
    assert "If the shadow policies were in force\n  Risk high: 6 of 6 proxies" in out
    repo.commit(
        {"shadow.yaml": deny.replace("Allow}", "Deny}").replace("{kuma.io/effect: shadow}", "{}")}
    )
    assert as_json(repo, capsys)["shadow"] is None


# --- the comment of the change ---


def posted(repo: PolicyRepo, state: ForgeState, *options: str) -> int:
    where = ("--forge", state.kind, "--forge-api", state.base, "--forge-change", "12")
    return main(planned(repo, "--post", *where, "--forge-repository", "acme/mesh", *options))


@pytest.mark.parametrize("kind", ["github", "gitlab", "gitea"])
def test_the_plan_is_posted_once_and_updated(
    repo: PolicyRepo,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    monkeypatch.setenv("RECONCILER_FORGE_TOKEN", TOKEN)
    repo.commit({"timeout.yaml": TIMEOUT.replace("7s", "3s")})
    with forge(kind) as state:
        assert posted(repo, state) == 0
        assert "comment created: " in capsys.readouterr().err
        repo.commit({"timeout.yaml": TIMEOUT.replace("7s", "2s")})
        assert posted(repo, state) == 0
        said = capsys.readouterr()
        assert "comment updated: " in said.err
        assert said.out.startswith("Risk medium")
        ((_, _, body),) = state.comments
    assert "7s → 2s" in body
    assert TOKEN not in said.out + said.err + body


def test_a_change_from_a_fork_is_planned_without_credentials(
    repo: PolicyRepo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a token nobody is asked; with one that may only read, the plan is shown all the
    same.
    """
    repo.commit({"timeout.yaml": TIMEOUT.replace("7s", "3s")})
    with forge("github") as state:
        assert posted(repo, state) == 0
        assert state.calls == []
        said = capsys.readouterr()
        assert "not posted: no token here" in said.err
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        state.may_comment = False
        assert posted(repo, state) == 0
        said = capsys.readouterr()
    assert "not posted: " in said.err
    assert said.out.startswith("Risk medium")


def test_a_policy_that_selects_no_proxy_is_warned_of(
    repo: PolicyRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    target = "targetRef: {kind: MeshSubset, tags: {kuma.io/service: NAME}}"
    text = TIMEOUT.replace("spec:", f"spec:\n  {target}")
    nobody = text.replace("name: aa", "name: b1").replace("NAME", "gone")
    somebody = text.replace("name: aa", "name: b2").replace("NAME", "web")
    repo.commit({"nobody.yaml": nobody, "somebody.yaml": somebody})
    found = as_json(repo, capsys)["warnings"]
    assert [(w["code"], w["message"].split(";")[0]) for w in found] == [
        ("PLN001", "MeshTimeout default/b1 selects no proxy of any zone")
    ]


def test_a_service_that_nobody_may_call_any_more_is_warned_of(
    repo: PolicyRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.commit({"allow.yaml": ALLOW.replace("Allow", "Deny")})
    (warning,) = as_json(repo, capsys)["warnings"]
    assert warning["code"] == "PLN002"
    assert "nobody may call service backend of mesh default" in warning["message"]


def test_a_route_to_where_no_endpoint_is_is_warned_of_once(
    repo: PolicyRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = "{kind: MeshService, name: backend-v2, weight: 1}"
    route = (
        "type: MeshHTTPRoute\nname: canary\nspec:\n  to:\n"
        "  - targetRef: {kind: MeshService, name: backend}\n"
        "    rules:\n    - matches: [{path: {type: PathPrefix, value: /v2}}]\n"
        f"      default: {{backendRefs: [{backend}]}}\n"
    )
    repo.commit({"route.yaml": route})
    found = as_json(repo, capsys)
    assert [(w["code"], w["path"]) for w in found["warnings"]] == [("PLN003", "route.yaml")]
    assert "calls of web are sent to service backend-v2" in found["warnings"][0]["message"]
    assert found["risk"]["level"] == "high"
    assert found["risk"]["deadEnds"] == 1
    git(repo.work, "checkout", "--quiet", "-b", "next")
    repo.commit({"timeout.yaml": TIMEOUT.replace("7s", "8s")})
    assert main(["plan", "proposal..next", "--repo", str(repo.work), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == []  # it was so before


def test_a_warning_is_not_new_because_its_lines_have_moved(
    repo: PolicyRepo, capsys: pytest.CaptureFixture[str]
) -> None:
    both = {"timeout.yaml": TIMEOUT, "b.yaml": TIMEOUT.replace("aa", "bb").replace("7s", "8s")}
    repo.commit(both)
    assert [w["code"] for w in as_json(repo, capsys)["warnings"]] == ["CFL001"]
    git(repo.work, "checkout", "--quiet", "-b", "next")
    repo.commit({"timeout.yaml": f"# moved\n{TIMEOUT}"})
    assert main(["plan", "proposal..next", "--repo", str(repo.work), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == []


@pytest.mark.parametrize("form", ["text", "json", "markdown"])
def test_what_is_remembered_says_the_same_to_the_byte(
    repo: PolicyRepo,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    form: str,
) -> None:
    """Without a cache, with the files of another change in it, and with this very plan."""
    monkeypatch.delenv("RECONCILER_NO_CACHE")

    def told(*options: str) -> str:
        assert main(planned(repo, "--format", form, "--xds", *options)) == 0
        return capsys.readouterr().out

    kept = ("--cache-dir", str(tmp_path / "cache"))
    second = "# on its second line\n" + TIMEOUT.replace("aa", "bb").replace("7s", "8s")
    repo.commit({"timeout.yaml": TIMEOUT.replace("7s", "3s"), "b.yaml": second})
    earlier = told(*kept)
    denied = ALLOW.replace("Allow}", "Deny}")
    repo.commit({"timeout.yaml": TIMEOUT.replace("7s", "4s"), "allow.yaml": denied})
    cold = told("--no-cache")
    assert cold != earlier
    assert [told(*kept), told(*kept)] == [cold, cold]
