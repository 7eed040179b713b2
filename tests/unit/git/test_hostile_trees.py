"""Trees that no git would write: what stands in them is data, never a path of this machine.

Crafted as raw objects. Each is a problem with its path, or has no effect; the revision in force
stays (tests/unit/steps/test_global_step.py).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from reconciler.git.errors import GitFailed
from reconciler.git.trees import EntryKind
from reconciler.steps import global_state as g
from tests.support.git_repos import PolicyRepo, git
from tests.unit.git.test_mirror import MAIN, mirror_of
from tests.unit.load.test_revision_loader import loader_of

if TYPE_CHECKING:
    from pathlib import Path

MESH = b"type: Mesh\nname: default\n"
FILE, FOLDER, LINK, MODULE = b"100644", b"40000", b"120000", b"160000"


class Crafted:
    """A repository whose commits are made of raw trees."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.repo = PolicyRepo.create(folder, {"mesh.yaml": MESH.decode()})
        self.folder = folder

    def blob(self, body: bytes) -> bytes:
        return bytes.fromhex(git(self.repo.bare, "hash-object", "-w", "--stdin", stdin=body))

    def tree(self, *entries: tuple[bytes, bytes, bytes]) -> bytes:
        raw = b"".join(mode + b" " + name + b"\0" + oid for mode, name, oid in entries)
        made = ("hash-object", "-w", "-t", "tree", "--literally", "--stdin")
        return bytes.fromhex(git(self.repo.bare, *made, stdin=raw))

    def push(self, *entries: tuple[bytes, bytes, bytes]) -> str:
        tree = self.tree(*entries).hex()
        commit = git(self.repo.bare, "commit-tree", tree, "-p", "main", "-m", "crafted")
        git(self.repo.bare, "update-ref", MAIN, commit)
        return commit

    def outcome(self, *entries: tuple[bytes, bytes, bytes]) -> g.Event:
        commit = self.push(*entries)
        loader = loader_of(self.folder, self.repo)
        try:
            return loader.load(g.Load(loader.mirror.fetch()[MAIN], None))
        except GitFailed as error:  # not even fetched: told as trouble with the repository
            return g.LoadFailed(commit, str(error))


def told(event: g.Event) -> list[str]:
    assert isinstance(event, g.LoadRejected), event
    assert all(str(problem).isprintable() for problem in event.problems)
    return [f"{problem.at.path}: {problem.code}" for problem in event.problems]


@pytest.mark.parametrize(
    "name",
    [
        b".git", b".GIT", b".gi\xe2\x80\x8ct", b"git~1", b"GIT~1", b"..", b".", b"", b"a/b",
        b".git ", b".git.", b"C:", b"c:x", b"a\\b", b"\x01", b"\xff", b"nul\nname", b"\xe2\x80\xae",
    ],
    ids=repr,
)  # fmt: skip
def test_a7_folder_of_a_name_no_checkout_takes_is_refused_with_what_is_in_it(
    tmp_path: Path, name: bytes
) -> None:
    crafted = Crafted(tmp_path)
    mesh = crafted.blob(MESH)
    below = crafted.tree((FILE, b"m.yaml", mesh))
    event = crafted.outcome((FILE, b"a.yaml", mesh), (FOLDER, name, below))
    if name == b"":
        assert isinstance(event, g.LoadFailed)
        return
    assert any(line.endswith("SRC012") or line == ".: SRC010" for line in told(event))
    names = {path.name for path in tmp_path.rglob("*")}
    assert "m.yaml" not in names  # nothing was ever checked out


@pytest.mark.parametrize("mode", [b"104755", b"102644", b"100666", b"20644", b"0", b"777777"])
def test_a7_mode_that_is_none_of_gits_is_refused(tmp_path: Path, mode: bytes) -> None:
    crafted = Crafted(tmp_path)
    event = crafted.outcome((mode, b"a.yaml", crafted.blob(MESH)))
    # libgit2 takes some for the regular file they almost are; they then are that, and not more.
    if isinstance(event, g.Loaded):
        (entry,) = mirror_of(crafted.repo, tmp_path).tree_entries(event.revision.commit)
        assert entry.mode in (0o100644, 0o100755)
    else:
        assert isinstance(event, g.LoadRejected | g.LoadFailed)


@pytest.mark.parametrize("first", [LINK, FILE, FOLDER, MODULE])
def test_a6_name_that_stands_twice_is_refused(tmp_path: Path, first: bytes) -> None:
    """A link and a folder of one name: what is under it depends on who reads."""
    crafted = Crafted(tmp_path)
    mesh = crafted.blob(MESH)
    folder = crafted.tree((FILE, b"foo.yaml", mesh))
    one = folder if first == FOLDER else mesh
    event = crafted.outcome((first, b"link", one), (FOLDER, b"link", folder))
    assert isinstance(event, g.LoadRejected)
    assert "link is there twice; remove one" in event.problems[0].message


def test_a1_link_out_of_the_repository_is_refused_and_its_target_not_read(tmp_path: Path) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_bytes(MESH)
    crafted = Crafted(tmp_path)
    target = crafted.blob(str(outside).encode())
    event = crafted.outcome((LINK, b"mesh.yaml", target))
    assert told(event) == ["mesh.yaml: SRC009"]
    assert isinstance(event, g.LoadRejected)
    assert "outside" not in str(event.problems)


def test_a1_link_in_place_of_the_policy_folder_is_refused(tmp_path: Path) -> None:
    crafted = Crafted(tmp_path)
    crafted.push((LINK, b"policies", crafted.blob(b"/etc")))
    loader = loader_of(tmp_path, crafted.repo, "policies")
    event = loader.load(g.Load(loader.mirror.fetch()[MAIN], None))
    assert told(event) == [".: SRC010"]


@pytest.mark.parametrize("name", [b"reconciler.yaml", b"secrets.yaml"])
@pytest.mark.parametrize("mode", [LINK, MODULE, FOLDER])
def test_a1_file_of_the_repository_itself_that_is_no_file_is_refused(
    tmp_path: Path, name: bytes, mode: bytes
) -> None:
    crafted = Crafted(tmp_path)
    oid = crafted.tree() if mode == FOLDER else crafted.blob(b"/etc/passwd")
    event = crafted.outcome((FILE, b"mesh.yaml", crafted.blob(MESH)), (mode, name, oid))
    if mode == FOLDER:
        assert isinstance(event, g.Loaded)  # An empty folder holds nothing.
    else:
        assert told(event) == [f"{name.decode()}: SRC009"]


def test_b13_submodules_are_neither_fetched_nor_read(tmp_path: Path) -> None:
    crafted = Crafted(tmp_path)
    modules = crafted.blob(b'[submodule "x"]\n\tpath = .git/hooks\n\turl = file:///etc\n')
    mesh = crafted.blob(MESH)
    event = crafted.outcome(
        (FILE, b".gitmodules", modules), (MODULE, b"hooks", b"\x11" * 20), (FILE, b"m.yaml", mesh)
    )
    assert isinstance(event, g.Loaded)
    event = crafted.outcome((MODULE, b"sub.yaml", b"\x11" * 20))
    assert told(event) == ["sub.yaml: SRC009"]
    event = crafted.outcome((LINK, b".gitmodules", crafted.blob(b"/etc/passwd")))
    assert isinstance(event, g.Loaded)  # The name of no policy: nobody looks.


def test_b14_attributes_filters_and_lfs_pointers_change_no_content(tmp_path: Path) -> None:
    crafted = Crafted(tmp_path)
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:../../../etc\nsize 12\n"
    attributes = crafted.blob(b"* filter=lfs ident eol=crlf working-tree-encoding=UTF-16\n")
    mesh = crafted.blob(MESH + b"# $Id$\n")
    entries = ((FILE, b".gitattributes", attributes), (FILE, b"m.yaml", mesh))
    commit = crafted.push(*entries)
    mirror = mirror_of(crafted.repo, tmp_path)
    mirror.fetch()
    found = {e.path: e.oid for e in mirror.tree_entries(commit)}
    assert mirror.read_blobs([found["m.yaml"]])[found["m.yaml"]] == MESH + b"# $Id$\n"
    event = crafted.outcome(*entries, (FILE, b"p.yaml", crafted.blob(pointer)))
    assert told(event) == ["p.yaml: DOC001"]


def test_a5_blob_of_100_mb_is_refused_unread(tmp_path: Path) -> None:
    crafted = Crafted(tmp_path)
    big = crafted.blob(b"#" * 100_000_000)
    commit = crafted.push((FILE, b"big.yaml", big))
    loader = loader_of(tmp_path, crafted.repo)
    tip = loader.mirror.fetch()[MAIN]
    assert tip == commit
    started = time.monotonic()
    event = loader.load(g.Load(tip, None))
    assert told(event) == ["big.yaml: SRC002"]
    assert time.monotonic() - started < 1.0  # Its header says how large it is.


def test_a5_tree_or_commit_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    crafted = Crafted(tmp_path)
    for oid in (crafted.tree(), bytes.fromhex(crafted.repo.tip("main"))):
        event = crafted.outcome((FILE, b"a.yaml", oid))
        assert isinstance(event, g.LoadRejected)
        assert "stands for a file but is none" in event.problems[0].message


def test_a5_object_that_is_nowhere_is_a_fault_of_the_world(tmp_path: Path) -> None:
    crafted = Crafted(tmp_path)
    event = crafted.outcome((FILE, b"a.yaml", b"\x11" * 20))
    assert isinstance(event, g.LoadFailed)


def test_kinds_of_crafted_names_are_never_files(tmp_path: Path) -> None:
    crafted = Crafted(tmp_path)
    mesh = crafted.blob(MESH)
    commit = crafted.push(*((FILE, name, mesh) for name in (b"..", b".GIT", b"a\nb.yaml", b"\xff")))
    mirror = mirror_of(crafted.repo, tmp_path)
    mirror.fetch()
    assert {e.kind for e in mirror.tree_entries(commit)} == {EntryKind.INVALID}
