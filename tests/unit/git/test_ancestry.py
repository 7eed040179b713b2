"""Which commits a revision contains, asked by whoever waits for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.git.address import address
from reconciler.git.mirror import Mirror, MirrorOptions
from reconciler.git.remote import RemoteLimits, transport_to
from tests.support.git_repos import PolicyRepo

if TYPE_CHECKING:
    from pathlib import Path


def test_revision_contains_itself_and_what_came_before_it(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "type: Mesh\nname: default\n"})
    first = repo.commit({"b.yaml": "1"})  # Pushed with the next one.
    second = repo.push({"b.yaml": "2"})
    where = address(str(repo.bare))
    mirror = Mirror(tmp_path / "m.git", where, transport_to(where, RemoteLimits()), MirrorOptions())
    mirror.fetch()
    assert mirror.contains(second, second)
    assert mirror.contains(second, first)
    assert mirror.contains(second, first[:9])
    assert not mirror.contains(first, second)
    blob = next(iter(mirror.tree_entries(second))).oid
    rebuilt = (tmp_path / "m.git").stat().st_ino
    for nothing in ("f" * 40, "f" * 7, "no id", "", blob):
        assert not mirror.contains(second, nothing)
    assert (tmp_path / "m.git").stat().st_ino == rebuilt  # An unknown id is no damage.
