"""A commit costs what its files cost, however large the repository is: counted, not timed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from reconciler.steps import global_state as g
from tests.support.git_repos import PolicyRepo
from tests.unit.load.test_revision_loader import MAIN, loader_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

    from reconciler.revision_loader import RevisionLoader

MESH = "type: Mesh\nname: default\n"
POLICY = (
    "type: MeshTimeout\nmesh: default\nname: a{number}\n"  # before its default: no warning
    "spec: {{to: [{{targetRef: {{kind: MeshService, name: backend}}, "
    "default: {{idleTimeout: {value}s}}}}]}}\n"
)


def policies(count: int) -> dict[str, str]:
    return {path(number): POLICY.format(number=number, value=1) for number in range(count)}


def path(number: int) -> str:
    return f"policies/{number // 10}/{number}.yaml"


def follow(loader: RevisionLoader, before: g.Loaded | None = None) -> g.Loaded:
    key = before.revision.key if before is not None else None
    found = loader.load(g.Load(loader.mirror.fetch()[MAIN], key))
    assert isinstance(found, g.Loaded), found
    return found


def calls_of(work: Callable[[], object]) -> int:
    """Of Python functions; digests look at all names of a type, and are left out."""
    count = 0

    def seen(frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        outside = frame.f_code.co_filename.endswith(("manifest.py", "resource.py"))
        count += event == "call" and not outside

    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def calls_of_one_change(folder: Path, size: int) -> int:
    folder.mkdir()
    repo = PolicyRepo.create(folder, {"mesh.yaml": MESH, **policies(size)})
    loader = loader_of(folder, repo)
    first = follow(loader)
    repo.push({path(3): POLICY.format(number=3, value=2)})
    second = follow(loader, first)  # What is looked up once is known from here on.
    repo.push({path(3): POLICY.format(number=3, value=3)})
    commit = loader.mirror.fetch()[MAIN]
    return calls_of(lambda: loader.load(g.Load(commit, second.revision.key)))


def test_one_change_costs_the_same_in_a_repository_ten_times_the_size(tmp_path: Path) -> None:
    small = calls_of_one_change(tmp_path / "small", 30)
    large = calls_of_one_change(tmp_path / "large", 300)
    assert large < small * 1.2


def test_only_what_others_depend_on_makes_a_commit_be_looked_at_whole(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"mesh.yaml": MESH, **policies(20)})
    loader = loader_of(tmp_path, repo)
    found = follow(loader)
    whole = [loader.loads_whole]
    for change in (
        {path(3): POLICY.format(number=3, value=2)},
        {"another.yaml": POLICY.format(number=99, value=2)},
        {"mesh.yaml": f"{MESH}labels: {{a: b}}\n"},
    ):
        repo.push(change)
        found = follow(loader, found)
        whole.append(loader.loads_whole)
    assert whole == [1, 1, 1, 2]


def test_after_a_mistake_the_cure_is_looked_at_beside_the_last_good_commit(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"mesh.yaml": MESH, **policies(20)})
    loader = loader_of(tmp_path, repo)
    found = follow(loader)
    repo.push({path(3): "type: MeshTimeot\n"})
    mistake = loader.load(g.Load(loader.mirror.fetch()[MAIN], found.revision.key))
    assert isinstance(mistake, g.LoadRejected)
    whole = loader.loads_whole
    repo.push({path(3): POLICY.format(number=3, value=2)})
    cured = follow(loader, found)
    assert loader.loads_whole == whole
    assert cured.revision.since is not None
    assert [r.key.name for r in cured.revision.since[1].put] == ["a3"]
