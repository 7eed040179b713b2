"""When files came and changed, against real repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.git import file_times
from reconciler.git.file_times import FileTime, FileTimes, History
from tests.support import git_repos
from tests.support.git_repos import PolicyRepo, git

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86400
EPOCH = 1_700_000_000


def at(repo: PolicyRepo, day: int, files: dict[str, str | None], *more: str) -> str:
    """A commit of that day; None: the file goes."""
    for path, text in files.items():
        target = repo.work / path
        if text is None:
            target.unlink()
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    git(repo.work, "add", "--all")
    return commit(repo, day, *more)


def commit(repo: PolicyRepo, day: int, *more: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(git_repos.GIT_ENVIRONMENT, "GIT_COMMITTER_DATE", f"{EPOCH + day * DAY} +0000")
        git(repo.work, "commit", "--quiet", "--allow-empty", "--message", f"day {day}", *more)
        return git(repo.work, "rev-parse", "HEAD")


def days(times: FileTimes) -> dict[str, tuple[float, float]]:
    return {
        path: ((found.created - EPOCH) / DAY, (found.modified - EPOCH) / DAY)
        for path, found in times.by_path.items()
    }


@pytest.fixture
def repo(tmp_path: Path) -> PolicyRepo:
    return PolicyRepo.create(tmp_path)


def followed(repo: PolicyRepo, tip: str, *paths: str, policy_path: str = "") -> History:
    history = History(repo.work / ".git", policy_path)
    history.follow(tip, paths)
    return history


def test_a_file_is_as_old_as_its_first_commit_and_as_new_as_the_last_that_changed_it(
    repo: PolicyRepo,
) -> None:
    at(repo, 1, {"a.yaml": "1", "t/b.yaml": "1"})
    at(repo, 2, {"t/c.yaml": "1"})
    at(repo, 3, {"a.yaml": "2"})
    tip = at(repo, 4, {"readme": "x"})
    history = followed(repo, tip, "a.yaml", "t/b.yaml", "t/c.yaml")
    assert days(history.times) == {"a.yaml": (1, 3), "t/b.yaml": (1, 1), "t/c.yaml": (2, 2)}
    assert history.times.since == EPOCH + DAY


def test_a_new_commit_moves_only_the_files_it_changed(repo: PolicyRepo) -> None:
    at(repo, 1, {"a.yaml": "1", "t/b.yaml": "1", "t/c.yaml": "1"})
    first = at(repo, 2, {"a.yaml": "2"})
    history = followed(repo, first, "a.yaml", "t/b.yaml", "t/c.yaml")
    at(repo, 3, {"t/b.yaml": "2"})
    second = at(repo, 4, {"t/b.yaml": "3", "t/c.yaml": None, "d.yaml": "1"})
    history.follow(second, ())
    assert history.commits_read == 2
    assert days(history.times) == {"a.yaml": (1, 2), "t/b.yaml": (1, 4), "d.yaml": (4, 4)}
    whole = followed(repo, second, "a.yaml", "t/b.yaml", "d.yaml")
    assert days(whole.times) == days(history.times)  # as if it had been looked at alone


def test_a_file_that_went_and_came_again_is_new(repo: PolicyRepo) -> None:
    at(repo, 1, {"a.yaml": "1", "b.yaml": "1"})
    gone = at(repo, 2, {"a.yaml": None})
    tip = at(repo, 3, {"a.yaml": "1"})
    assert days(followed(repo, tip, "a.yaml").times) == {"a.yaml": (3, 3)}
    history = followed(repo, gone, "b.yaml")
    history.follow(tip, ())
    assert days(history.times)["a.yaml"] == (3, 3)


def test_a_file_in_place_of_a_folder_is_new_and_what_was_below_is_gone(repo: PolicyRepo) -> None:
    first = at(repo, 1, {"x/a.yaml": "1"})
    history = followed(repo, first, "x/a.yaml")
    (repo.work / "x/a.yaml").unlink()
    (repo.work / "x").rmdir()
    second = at(repo, 2, {"x": "now a file"})
    history.follow(second, ())
    assert days(history.times) == {"x": (2, 2)}
    (repo.work / "x").unlink()
    history.follow(at(repo, 3, {"x/a.yaml": "1"}), ())
    assert days(history.times) == {"x/a.yaml": (3, 3)}


def test_a_merge_counts_when_it_was_made(repo: PolicyRepo) -> None:
    """Then the file changed on this branch."""
    at(repo, 1, {"a.yaml": "1"})
    git(repo.work, "checkout", "--quiet", "-b", "side")
    at(repo, 2, {"a.yaml": "2"})
    git(repo.work, "checkout", "--quiet", "main")
    at(repo, 3, {"b.yaml": "1"})
    git(repo.work, "merge", "--quiet", "--no-commit", "--no-ff", "side")
    tip = commit(repo, 5)
    assert days(followed(repo, tip, "a.yaml", "b.yaml").times) == {
        "a.yaml": (1, 5),
        "b.yaml": (3, 3),
    }


def test_only_the_policy_path_is_looked_at(repo: PolicyRepo) -> None:
    at(repo, 1, {"app.py": "1"})
    at(repo, 2, {"mesh/a.yaml": "1"})
    at(repo, 3, {"mesh/a.yaml": "2"})
    tip = at(repo, 4, {"app.py": "2"})
    history = followed(repo, tip, "a.yaml", policy_path="mesh")
    assert days(history.times) == {"a.yaml": (2, 3)}


def test_history_that_was_rewritten_is_looked_at_anew(repo: PolicyRepo) -> None:
    at(repo, 1, {"a.yaml": "1"})
    history = followed(repo, at(repo, 2, {"a.yaml": "2"}), "a.yaml")
    other = commit(repo, 7, "--amend")
    history.follow(other, ("a.yaml",))
    assert days(history.times) == {"a.yaml": (1, 7)}


def test_beyond_the_bound_a_file_is_as_old_as_the_last_commit_looked_at(
    repo: PolicyRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_times, "COMMITS_MAX", 2)
    monkeypatch.setattr(file_times, "BATCH_S", 0.0)
    at(repo, 1, {"a.yaml": "1"})
    for day in (2, 3, 4):
        tip = at(repo, day, {"b.yaml": str(day)})
    history = followed(repo, tip, "a.yaml", "b.yaml")
    assert history.commits_read == 2
    assert days(history.times) == {"a.yaml": (3, 3), "b.yaml": (3, 4)}
    assert history.times.of("unheard.yaml") == FileTime(EPOCH + 3 * DAY, EPOCH + 3 * DAY)


def test_work_is_bounded_by_time(repo: PolicyRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in range(1, 6):
        tip = at(repo, day, {f"{day}.yaml": "1"})
    ticks = iter(range(1000))
    history = History(repo.work / ".git", "", clock=lambda: float(next(ticks)))
    monkeypatch.setattr(history._ended, "wait", lambda _s: False)
    history.follow(tip, ("1.yaml",))
    assert 0 < history.commits_read < 5


def test_a_look_that_is_ended_tells_nothing(repo: PolicyRepo) -> None:
    tip = at(repo, 1, {"a.yaml": "1"})
    history = History(repo.work / ".git", "")
    history.end()
    history.follow(tip, ("a.yaml",))
    assert history.times == FileTimes()
    assert history.times.of("a.yaml") is None


def test_what_cannot_be_read_stays_unknown(repo: PolicyRepo, tmp_path: Path) -> None:
    History(tmp_path / "nowhere", "").follow("0" * 40, ())
    tip = at(repo, 1, {"a.yaml": "1"})
    history = followed(repo, tip, "a.yaml")
    before = history.times
    history.follow("f" * 40, ("a.yaml",))
    assert history.times is before
