"""What a message of Git tells to change can be changed."""

from __future__ import annotations

import argparse

import pytest

from reconciler.cli.git_access import add_git, git_access


def test_limits_and_key_of_the_command_line_reach_the_repository(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RECONCILER_GIT_TOKEN", "secret")
    parser = argparse.ArgumentParser()
    add_git(parser)
    words = ["--git-timeout", "90", "--git-memory", "512", "--git-ssh-key", "/keys/git"]
    where, limits = git_access(parser.parse_args(words), "ssh://git@host/mesh.git")
    assert (where.ssh_key, where.token) == ("/keys/git", "secret")
    assert (limits.call_s, limits.memory_bytes_max) == (90.0, 512 * 1024 * 1024)


def test_empty_token_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECONCILER_GIT_TOKEN", "")
    parser = argparse.ArgumentParser()
    add_git(parser)
    where, _ = git_access(parser.parse_args([]), "https://host/mesh.git")
    assert where.token is None


@pytest.mark.parametrize("words", [["--git-timeout", "0"], ["--git-memory", "much"]])
def test_limits_that_mean_nothing_are_refused(words: list[str]) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_git(parser)
    with pytest.raises(argparse.ArgumentError):
        parser.parse_args(words)
