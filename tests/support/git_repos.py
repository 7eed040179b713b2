"""Throwaway Git repositories for tests, made by the real git without this machine's config."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.demo.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GIT_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Tester",
    "GIT_AUTHOR_EMAIL": "tester@example.invalid",
    "GIT_COMMITTER_NAME": "Tester",
    "GIT_COMMITTER_EMAIL": "tester@example.invalid",
}


def git(folder: Path, *args: str, stdin: bytes | None = None) -> str:
    """Run git in `folder`; returns its output without the last newline."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    done = subprocess.run(
        ["git", *args],
        cwd=folder,
        input=stdin,
        capture_output=True,
        check=False,
        timeout=60,
        env=environment | GIT_ENVIRONMENT,
    )
    if done.returncode:
        raise RuntimeError(f"git {' '.join(args)}: {done.stderr.decode(errors='replace')}")
    return done.stdout.decode().rstrip("\n")


@dataclass(frozen=True, slots=True)
class PolicyRepo:
    """A bare repository, and a clone of it to push from."""

    bare: Path
    work: Path

    @classmethod
    def create(cls, folder: Path, files: Mapping[str, str] | None = None) -> PolicyRepo:
        """With one commit on main when files are given, empty otherwise."""
        repo = cls(folder / "policy.git", folder / "work")
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(repo.bare))
        git(folder, "init", "--quiet", "--initial-branch=main", str(repo.work))
        git(repo.work, "remote", "add", "origin", str(repo.bare))
        if files is not None:
            repo.push(files)
        return repo

    def commit(self, files: Mapping[str, str], message: str = "change") -> str:
        """Write these files and commit them; returns the commit's oid."""
        for path, text in files.items():
            target = self.work / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "--message", message)
        return git(self.work, "rev-parse", "HEAD")

    def push(self, files: Mapping[str, str], message: str = "change") -> str:
        """Commit and `git push`; returns the commit's oid."""
        oid = self.commit(files, message)
        git(self.work, "push", "--quiet", "--force", "origin", "main")
        return oid

    def tip(self, ref: str) -> str:
        return git(self.bare, "rev-parse", ref)


@contextmanager
def git_daemon(folder: Path, port: int = 0) -> Iterator[str]:
    """git:// over loopback for the repositories in `folder`, pushes allowed; yields its URL."""
    if not port:
        (port,) = free_ports(1)
    program = Path(git(folder, "--exec-path")) / "git-daemon"
    daemon = subprocess.Popen(
        [program, "--export-all", "--enable=receive-pack", "--reuseaddr", "--listen=127.0.0.1",
         f"--port={port}", f"--base-path={folder}", str(folder)],
        env=os.environ | GIT_ENVIRONMENT,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_until_listening(port)
        yield f"git://127.0.0.1:{port}"
    finally:
        daemon.terminate()
        daemon.wait(10)


def _wait_until_listening(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    raise TimeoutError("git daemon does not listen")
