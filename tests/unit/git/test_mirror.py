"""The mirror against real repositories: what is read, what is refused, what is rebuilt."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.git.address import address
from reconciler.git.errors import CommitRejected, Permanent, Transient
from reconciler.git.mirror import Mirror, MirrorOptions, TooLarge
from reconciler.git.packing import joined_count
from reconciler.git.remote import RemoteLimits, transport_to
from reconciler.git.trees import EntryKind, TreeLimits
from tests.support.git_repos import PolicyRepo, git

if TYPE_CHECKING:
    from pathlib import Path

MAIN = "refs/heads/main"


def mirror_of(repo: PolicyRepo, folder: Path, options: MirrorOptions | None = None) -> Mirror:
    where = address(str(repo.bare))
    transport = transport_to(where, RemoteLimits())
    return Mirror(folder / "mirror.git", where, transport, options or MirrorOptions())


def contents(mirror: Mirror, commit: str, policy_path: str = "") -> dict[str, bytes | TooLarge]:
    entries = mirror.tree_entries(commit, policy_path)
    read = mirror.read_blobs(e.oid for e in entries if e.kind is EntryKind.FILE)
    return {e.path: read[e.oid] for e in entries if e.kind is EntryKind.FILE}


def test_a_push_is_fetched_and_read(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"mesh.yaml": "a\n", "team/web.yaml": "b\n"})
    mirror = mirror_of(repo, tmp_path)
    first = mirror.fetch()[MAIN]
    assert contents(mirror, first) == {"mesh.yaml": b"a\n", "team/web.yaml": b"b\n"}
    second = repo.push({"team/web.yaml": "c\n"})
    assert mirror.fetch() == {MAIN: second}
    assert mirror.tip(MAIN) == second
    assert contents(mirror, second)["team/web.yaml"] == b"c\n"


def test_equal_subtrees_are_not_entered_again(tmp_path: Path) -> None:
    files = {f"d{i}/e{i}/p.yaml": str(i) for i in range(5)}
    repo = PolicyRepo.create(tmp_path, files)
    mirror = mirror_of(repo, tmp_path)
    mirror.tree_entries(mirror.fetch()[MAIN])
    assert mirror.trees_read == 11
    for number in ("3", "4"):  # what was skipped once is still known the next time
        repo.push({f"d{number}/e{number}/p.yaml": "new"})
        entries = mirror.tree_entries(mirror.fetch()[MAIN])
        assert mirror.trees_read == 3
        assert [e.path for e in entries] == sorted(files)


def test_only_the_policy_path_is_read_and_moves_the_key(tmp_path: Path) -> None:
    repo = PolicyRepo.create(
        tmp_path, {"mesh/policies/a.yaml": "a", "mesh/policies/reconciler.yaml": "s", "app.py": "x"}
    )
    mirror = mirror_of(repo, tmp_path)
    first = mirror.fetch()[MAIN]
    assert set(contents(mirror, first, "mesh/policies")) == {"a.yaml", "reconciler.yaml"}
    key = mirror.reconcile_key(first, "mesh/policies/")
    other = repo.push({"app.py": "y"})
    mirror.fetch()
    assert mirror.reconcile_key(other, "mesh/policies") == key
    edited = repo.push({"mesh/policies/reconciler.yaml": "strict: true"})
    mirror.fetch()
    moved = mirror.reconcile_key(edited, "mesh/policies")
    assert moved.tree != key.tree
    assert moved.settings != key.settings


def test_symlinks_and_submodules_keep_their_kind_and_are_never_followed(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "a"})
    (repo.work / "link.yaml").symlink_to("/etc/passwd")
    git(repo.work, "update-index", "--add", "--cacheinfo", f"160000,{repo.tip('main')},sub")
    git(repo.work, "add", "link.yaml")
    git(repo.work, "commit", "--quiet", "--message", "links")
    git(repo.work, "push", "--quiet", "origin", "main")
    mirror = mirror_of(repo, tmp_path)
    kinds = {e.path: e.kind for e in mirror.tree_entries(mirror.fetch()[MAIN])}
    assert kinds == {
        "a.yaml": EntryKind.FILE,
        "link.yaml": EntryKind.SYMLINK,
        "sub": EntryKind.SUBMODULE,
    }


def test_names_no_checkout_would_take_come_out_as_invalid(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "a"})
    blob = git(repo.bare, "hash-object", "-w", "--stdin", stdin=b"evil")
    raw = b"".join(
        b"100644 " + name + b"\0" + bytes.fromhex(blob)
        for name in (b"..", b".git", b"a\nb.yaml", b"c\\d.yaml", b"\xff.yaml")
    )
    tree = git(repo.bare, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=raw)
    commit = git(repo.bare, "commit-tree", tree, "-m", "evil")
    git(repo.bare, "update-ref", MAIN, commit)
    mirror = mirror_of(repo, tmp_path)
    entries = mirror.tree_entries(mirror.fetch()[MAIN])
    assert {e.kind for e in entries} == {EntryKind.INVALID}
    assert all(e.path.isprintable() for e in entries)


def test_a_policy_in_a_folder_of_any_name_is_listed(tmp_path: Path) -> None:
    """Skipping the folder would delete the policy without a word; its path is refused later."""
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "a"})
    blob = git(repo.bare, "hash-object", "-w", "--stdin", stdin=b"type: Mesh\n")
    below = git(repo.bare, "mktree", stdin=f"100644 blob {blob}\tmesh.yaml\n".encode())
    raw = b"".join(
        b"40000 " + name + b"\0" + bytes.fromhex(below)
        for name in (b".git", b"a\\b", b"caf\xe9", "team\u00a0a".encode(), b"x/y")
    )
    tree = git(repo.bare, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=raw)
    git(repo.bare, "update-ref", MAIN, git(repo.bare, "commit-tree", tree, "-m", "odd"))
    mirror = mirror_of(repo, tmp_path)
    paths = [e.path for e in mirror.tree_entries(mirror.fetch()[MAIN])]
    names = (".git", "a\\b", "caf\\xe9", "team\\xa0a", "x\\x2fy")
    assert paths == [f"{name}/mesh.yaml" for name in names]


def test_a_blob_over_the_limit_is_not_read(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"big.yaml": "x" * 1001, "fits.yaml": "y" * 1000})
    mirror = mirror_of(repo, tmp_path, MirrorOptions(blob_bytes_max=1000))
    read = contents(mirror, mirror.fetch()[MAIN])
    assert read == {"big.yaml": TooLarge(1001, 1000), "fits.yaml": b"y" * 1000}


def test_limits_of_the_tree_reject_the_commit_and_name_their_setting(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a/b/c/p.yaml": "1", "q.yaml": "2"})
    at_limit = MirrorOptions(trees=TreeLimits(entries_max=6, depth_max=4))
    mirror = mirror_of(repo, tmp_path, at_limit)
    commit = mirror.fetch()[MAIN]
    assert len(mirror.tree_entries(commit)) == 2
    for limits, setting in (
        (TreeLimits(depth_max=3), "limits.treeDepth"),
        (TreeLimits(entries_max=5), "limits.treeEntries"),
    ):
        strict = mirror_of(repo, tmp_path, MirrorOptions(trees=limits))
        with pytest.raises(CommitRejected, match=setting):
            strict.tree_entries(commit)


def test_a_tree_bomb_stops_at_the_limit(tmp_path: Path) -> None:
    """Ten levels of ten equal folders: 10^10 files in eleven objects."""
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "a"})
    oid, kind = git(repo.bare, "hash-object", "-w", "--stdin", stdin=b"x"), "100644 blob"
    for _ in range(10):
        listing = "".join(f"{kind} {oid}\tf{i}\n" for i in range(10))
        oid, kind = git(repo.bare, "mktree", stdin=listing.encode()), "040000 tree"
    git(repo.bare, "update-ref", MAIN, git(repo.bare, "commit-tree", oid, "-m", "bomb"))
    mirror = mirror_of(repo, tmp_path, MirrorOptions(trees=TreeLimits(entries_max=2000)))
    with pytest.raises(CommitRejected, match="more than 2000"):
        mirror.tree_entries(mirror.fetch()[MAIN])
    assert mirror.trees_read < 2000


def test_a_force_push_is_taken_and_the_old_commit_stays_readable(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    old = repo.push({"a.yaml": "2"})
    mirror = mirror_of(repo, tmp_path)
    mirror.fetch()
    git(repo.work, "reset", "--quiet", "--hard", "HEAD~1")
    new = repo.push({"a.yaml": "3"})
    assert mirror.fetch()[MAIN] == new
    assert contents(mirror, old) == {"a.yaml": b"2"}


def test_packed_refs_are_seen(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    mirror = mirror_of(repo, tmp_path)
    first = mirror.fetch()
    git(repo.bare, "pack-refs", "--all")
    assert mirror.fetch() == first
    second = repo.push({"a.yaml": "2"})
    assert mirror.fetch() == {MAIN: second}


def test_status_refs_come_along_and_go_when_deleted(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    git(repo.bare, "update-ref", "refs/heads/status/east", MAIN)
    git(repo.bare, "update-ref", "refs/heads/feature", MAIN)
    mirror = mirror_of(repo, tmp_path)
    assert set(mirror.fetch()) == {MAIN, "refs/heads/status/east"}
    git(repo.bare, "update-ref", "-d", "refs/heads/status/east")
    assert set(mirror.fetch()) == {MAIN}
    assert mirror.tip("refs/heads/status/east") is None


def test_a_ref_whose_name_became_a_folder_of_refs_stops_nothing(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    git(repo.bare, "update-ref", "refs/heads/status/east", MAIN)
    mirror = mirror_of(repo, tmp_path)
    mirror.fetch()
    git(repo.bare, "update-ref", "-d", "refs/heads/status/east")
    git(repo.bare, "update-ref", "refs/heads/status/east/old", MAIN)
    commit = repo.push({"a.yaml": "2"})
    assert mirror.fetch()[MAIN] == commit
    assert set(mirror.fetch()) == {MAIN, "refs/heads/status/east/old"}


def test_a_branch_that_is_a_name_for_another_is_followed(tmp_path: Path) -> None:
    """As after `git symbolic-ref refs/heads/main refs/heads/trunk`."""
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    git(repo.bare, "branch", "--move", "main", "trunk")
    git(repo.bare, "symbolic-ref", MAIN, "refs/heads/trunk")
    assert mirror_of(repo, tmp_path).fetch() == {MAIN: repo.tip("trunk")}


def test_a_name_for_no_ref_is_told_with_its_cure(tmp_path: Path) -> None:
    """As `origin/HEAD` of a clone is when the branch it meant was renamed."""
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    mirror = mirror_of(repo, tmp_path)
    first = mirror.fetch()
    git(repo.bare, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/gone")
    assert mirror.fetch() == first
    commit = repo.push({"a.yaml": "2"})
    with pytest.raises(Permanent, match=r"symbolic-ref --delete refs/remotes/origin/HEAD"):
        mirror.fetch()
    git(repo.bare, "symbolic-ref", "--delete", "refs/remotes/origin/HEAD")
    assert mirror.fetch() == {MAIN: commit}


def test_a_status_ref_at_something_else_than_a_commit_costs_no_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    blob = git(repo.bare, "hash-object", "-w", "--stdin", stdin=b"x")
    git(repo.bare, "update-ref", "refs/mesh/status/east", blob)
    mirror = mirror_of(repo, tmp_path, MirrorOptions(also=("refs/mesh/status/",)))
    found = mirror.fetch()
    monkeypatch.setattr(mirror, "rebuild", lambda: pytest.fail("cloned afresh"))
    with pytest.raises(CommitRejected, match="is no commit"):
        mirror.read_files(found["refs/mesh/status/east"])
    assert contents(mirror, found[MAIN]) == {"a.yaml": b"1"}


def test_what_a_killed_fetch_left_behind_stops_nothing_and_goes(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    mirror = mirror_of(repo, tmp_path)
    mirror.fetch()
    lock = mirror.folder / f"{MAIN}.lock"
    half = mirror.folder / "objects" / "pack" / "pack_git2_0123456789abcdef"
    lock.touch()
    half.write_bytes(b"PACK")
    commit = repo.push({"a.yaml": "2"})
    assert mirror.fetch() == {MAIN: commit}
    assert not lock.exists()
    assert not half.exists()


def test_packs_are_joined_and_no_commit_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every fetch leaves a pack. Also what no ref leads to any more may be in force."""
    monkeypatch.setattr("reconciler.git.mirror.PACKS_MAX", 4)
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    mirror = mirror_of(repo, tmp_path)
    commits = {mirror.fetch()[MAIN]: b"0"}
    for number in range(1, 12):
        git(repo.work, "commit", "--quiet", "--amend", "--allow-empty", "--message", "again")
        commit = repo.push({"a.yaml": str(number)})
        assert mirror.fetch() == {MAIN: commit}
        commits[commit] = str(number).encode()
        assert len(list((mirror.folder / "objects" / "pack").glob("*.pack"))) <= 5
    monkeypatch.setattr(mirror, "rebuild", lambda: pytest.fail("cloned afresh"))
    for commit, text in commits.items():
        assert contents(mirror, commit) == {"a.yaml": text}


@given(st.lists(st.integers(1, 10**9), max_size=40).map(sorted))
def test_packs_left_alone_are_each_twice_as_large_as_all_below(sizes: list[int]) -> None:
    """So there are at most logarithmically many, and no object is written again each time."""
    count = joined_count(sizes)
    for position in range(count, len(sizes)):
        assert sizes[position] >= 2 * sum(sizes[:position])
    assert count == 0 or sizes[count - 1] < 2 * sum(sizes[: count - 1])


def test_a_deleted_mirror_is_rebuilt(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    mirror = mirror_of(repo, tmp_path)
    commit = mirror.fetch()[MAIN]
    shutil.rmtree(mirror.folder)
    assert contents(mirror, commit) == {"a.yaml": b"1"}
    shutil.rmtree(mirror.folder)
    assert mirror.fetch() == {MAIN: commit}


@pytest.mark.parametrize("damage", ["objects", "refs", "head"])
def test_a_damaged_mirror_is_rebuilt(tmp_path: Path, damage: str) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    mirror = mirror_of(repo, tmp_path)
    commit = mirror.fetch()[MAIN]
    if damage == "objects":
        for file in (mirror.folder / "objects").rglob("*"):
            if file.is_file():
                file.chmod(0o600)
                file.write_bytes(b"garbage")
    elif damage == "refs":
        (mirror.folder / MAIN).write_text("garbage")
    else:
        (mirror.folder / "HEAD").write_text("garbage")
    assert mirror.fetch() == {MAIN: commit}
    assert contents(mirror, commit) == {"a.yaml": b"1"}


def test_an_unreachable_repository_leaves_the_mirror_readable(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    mirror = mirror_of(repo, tmp_path)
    commit = mirror.fetch()[MAIN]
    repo.bare.rename(tmp_path / "elsewhere.git")
    with pytest.raises(Permanent, match="does not exist"):
        mirror.fetch()
    assert contents(mirror, commit) == {"a.yaml": b"1"}


def test_an_unknown_commit_is_said_to_be_missing(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    mirror = mirror_of(repo, tmp_path)
    mirror.fetch()
    with pytest.raises(Transient, match="not there"):
        mirror.tree_entries("1" * 40)


def test_faults_name_their_cure(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    with pytest.raises(Permanent, match=r"no branch trunk: it has main; name one with --branch"):
        mirror_of(repo, tmp_path, MirrorOptions(branch="trunk")).fetch()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(Permanent, match="it is empty; push a commit"):
        mirror_of(PolicyRepo.create(empty), empty).fetch()
    plain = tmp_path / "plain"
    plain.mkdir()
    with pytest.raises(Permanent, match="is not a Git repository"):
        mirror_of(PolicyRepo(plain, plain), plain).fetch()
    mirror = mirror_of(repo, tmp_path)
    commit = mirror.fetch()[MAIN]
    with pytest.raises(CommitRejected, match=r"no folder policies; correct --path"):
        mirror.reconcile_key(commit, "policies")


def test_the_machines_git_configuration_has_no_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A global insteadOf would send every fetch elsewhere."""
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f'[url "/nowhere/"]\n\tinsteadOf = {tmp_path}/\n')
    monkeypatch.setenv("HOME", str(home))
    assert MAIN in mirror_of(repo, tmp_path).fetch()


def test_commit_info_is_printable(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    parent = repo.tip("main")
    commit = repo.push({"a.yaml": "2"}, "Raise \x1b[31mtimeouts\n\nbody")
    mirror = mirror_of(repo, tmp_path)
    mirror.fetch()
    info = mirror.commit_info(commit)
    assert (info.oid, info.parents, info.author) == (commit, (parent,), "Tester")
    assert info.subject == "Raise  [31mtimeouts"


def test_a_state_folder_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "1"})
    (tmp_path / "state").write_text("a file where a folder should be")
    with pytest.raises(Permanent, match="state directory"):
        mirror_of(repo, tmp_path / "state").fetch()
