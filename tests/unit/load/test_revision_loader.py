"""From a pushed commit to a revision, on a real mirror: what passed `validate` never stops it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.defaults import with_defaults
from reconciler.git.address import address
from reconciler.git.mirror import Mirror, MirrorOptions
from reconciler.git.remote import RemoteLimits, transport_to
from reconciler.keys.secret_store import FileSecrets
from reconciler.keys.system_resources import SystemResources
from reconciler.limits import DEFAULT, Limits
from reconciler.model.spec import MeshSpec
from reconciler.revision_loader import RevisionLoader
from reconciler.steps import global_state as g
from tests.support.git_repos import PolicyRepo

if TYPE_CHECKING:
    from pathlib import Path

MAIN = "refs/heads/main"
BACKEND = "{{name: ca-1, type: builtin, {}}}"
MESH = "type: Mesh\nname: {}\nmtls: {{enabledBackend: {}, backends: [{}]}}\n"


def outcome(tmp_path: Path, files: dict[str, str], maximum: Limits = DEFAULT) -> g.Event:
    tmp_path.mkdir(exist_ok=True)
    loader = loader_of(tmp_path, PolicyRepo.create(tmp_path, files), maximum=maximum)
    return loader.load(g.Load(loader.mirror.fetch()[MAIN], None))


def loader_of(
    folder: Path, repo: PolicyRepo, policy_path: str = "", maximum: Limits = DEFAULT
) -> RevisionLoader:
    where = address(str(repo.bare))
    transport = transport_to(where, RemoteLimits())
    mirror = Mirror(folder / "mirror.git", where, transport, MirrorOptions())
    system = SystemResources(FileSecrets(folder / "keys"))
    return RevisionLoader(mirror, policy_path, system, maximum=maximum)


def mesh(backend: str, name: str = "default", enabled: str = "ca-1") -> dict[str, str]:
    return {"mesh.yaml": MESH.format(name, enabled, backend)}


def test_durations_of_a_mesh_may_be_written_as_people_do(tmp_path: Path) -> None:
    cert = "{rotation: {expiration: 24h}, requestTimeout: 1h30m}"
    files = mesh(BACKEND.format(f"dpCert: {cert}, rootChain: {{requestTimeout: 1m}}"))
    loaded = outcome(tmp_path, files)
    assert isinstance(loaded, g.Loaded)
    (found,) = loaded.revision.resources.of("Mesh")
    assert '"requestTimeout":"5400s"' in found.body


def test_a_lifetime_without_end_counts_as_a_hundred_years(tmp_path: Path) -> None:
    files = mesh(BACKEND.format("conf: {caCert: {expiration: 999999y}}"))
    loaded = outcome(tmp_path, files)
    assert isinstance(loaded, g.Loaded)
    (found,) = loaded.revision.resources.of("Mesh")
    assert isinstance(found.spec, MeshSpec)
    assert found.spec.backends[0].ca_lifetime_s == 100 * 365 * 86400


@pytest.mark.parametrize(
    ("files", "code"),
    [
        (mesh(BACKEND.format("conf: {caCert: {RSAbits: 7}}")), "MSH006"),
        (mesh(BACKEND.format("conf: {caCert: {expiration: 5}}")), "MSH008"),
        (mesh(BACKEND.format("conf: {caCert: 7}")), "MSH008"),
        (mesh("{name: ../../ca, type: builtin}", enabled="../../ca"), "MSH010"),
        (mesh(BACKEND.format("conf: {}"), name="-x"), "DOC003"),
        ({"mesh.yaml": "type: Mesh\nname: default\n", "a.yaml": "x: 1e400"}, "SRC011"),
    ],
)
def test_what_no_certificate_or_message_can_hold_is_rejected_as_a_problem(
    tmp_path: Path, files: dict[str, str], code: str
) -> None:
    rejected = outcome(tmp_path, files)
    assert isinstance(rejected, g.LoadRejected)
    assert [problem.code for problem in rejected.problems] == [code]


def test_a_tree_beyond_its_limits_is_rejected_as_a_problem(tmp_path: Path) -> None:
    rejected = outcome(tmp_path, {"a/b/c/d.yaml": ""}, Limits(tree_depth=2))
    assert isinstance(rejected, g.LoadRejected)
    (problem,) = rejected.problems
    assert problem.code == "SRC010"
    assert "limits.treeDepth" in problem.message


def test_a_revision_has_the_defaults_of_its_meshes(tmp_path: Path) -> None:
    """The same that `render` has; they are resources like those of the repository."""
    loaded = outcome(tmp_path, mesh(BACKEND.format("conf: {}")))
    assert isinstance(loaded, g.Loaded)
    wanted = with_defaults(loaded.revision.resources.of("Mesh"))
    assert len(wanted) == 10
    assert all(loaded.revision.resources.get(r.key) == r for r in wanted)


def test_a_policy_that_loses_against_a_default_is_told_and_published(tmp_path: Path) -> None:
    slow = (
        "{type: MeshTimeout, mesh: default, name: slow, spec: "
        "{to: [{targetRef: {kind: Mesh}, default: {idleTimeout: 9s}}]}}"
    )
    loaded = outcome(tmp_path, {**mesh(BACKEND.format("conf: {}")), "slow.yaml": slow})
    assert isinstance(loaded, g.Loaded)
    assert {problem.code for problem in loaded.revision.warnings} == {"DOC014"}
