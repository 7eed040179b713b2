"""The main job on real parts: the demo's tour, driven as a user drives it, must see every step
happen.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
STEPS = (
    "1 both zones answer",
    "1 mutual TLS",
    "1 strangers are refused",
    "1 the wire between the zones",
    "2 MeshTimeout",
    "2 MeshTrafficPermission",
    "2 MeshHTTPRoute",
    "3 a commit with a mistake",
    "5 status commits",  # first before 4, then during and after it
    "4 kill -9 east's backend",
    "6 the global is killed",
    "7 near first",
    "8 a way out by an egress",
)


def test_tour_sees_every_step_happen(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "reconciler.cli.main",
            "demo",
            "--once",
            "--format",
            "json",
            "--dir",
            str(tmp_path / "demo"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    answer = json.loads(done.stdout)
    assert answer["ok"] is True
    seen = [row["step"] for row in answer["steps"] if row["ok"]]
    assert tuple(dict.fromkeys(seen)) == STEPS


def test_what_the_live_board_says_to_try_works_as_typed(tmp_path: Path) -> None:
    """On a terminal of 80 columns, by somebody without any settings of Git; a closed terminal ends
    every process.
    """
    folder = tmp_path / "d"
    with on_a_terminal(["demo", "--dir", str(folder)]) as (process, terminal):
        screen = read_until(terminal, "Ctrl-C ends everything", timeout_s=90)
        lines = screen.partition("what to try in another terminal:")[2].splitlines()[1:]
        steps = [line.strip() for line in lines[: lines.index("Ctrl-C ends everything")]]
        assert all(len(line) <= 80 for line in screen.splitlines() if str(tmp_path) not in line)
        steps = [f"cd {folder}/work", *steps[next(i for i, s in enumerate(steps) if "PATH" in s) :]]
        home = tmp_path / "home"
        home.mkdir()
        done = subprocess.run(
            ["bash", "-euc", "\n".join(step for step in steps if not step.startswith("curl"))],
            env={"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin"},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        assert "arrived: all proxies of 2 zones have it" in done.stdout
        assert "availableServices" in done.stdout
        group = processes_with(str(folder))
        assert len(group) > 10
        os.close(terminal)
        process.send_signal(signal.SIGHUP)  # What the end of its session would send.
        assert process.wait(30) == 0
    assert processes_with(str(folder)) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_interrupted_while_it_starts_leaves_nothing_behind(
    tmp_path: Path, number: int
) -> None:
    """Twice, as impatient people do it."""
    folder = tmp_path / "d"
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler.cli.main", "demo", "--once", "--dir", str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    with process:
        for line in process.stdout:
            if "zone west: ingress" in line:
                break
        for _ in range(2):
            os.killpg(process.pid, number)  # As a terminal does it: to all of its group.
        rest = process.stdout.read()
        assert process.wait(30) == 130, rest
    # Beside the steps of the start that were still under way there is one line, and no traceback.
    lines = [line for line in rest.splitlines() if not re.match(r" *\d+\.\d s  ", line)]
    assert lines == [f"every process has ended; logs are in {folder.resolve() / 'logs'}"]
    assert processes_with(str(folder)) == []


@pytest.mark.parametrize("name", ["file", "file/below", "full", "x" * 100])
def test_folder_that_cannot_be_used_is_named_and_nothing_is_started(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "full" / "of").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "reconciler.cli.main", "demo", "--dir", str(tmp_path / name)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert str(tmp_path / name) in done.stdout
    assert "Traceback" not in done.stderr


@contextmanager
def on_a_terminal(arguments: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The program on a new terminal of 80 columns; yields it and our end of the terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler.cli.main", *arguments],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"},
    )  # fmt: skip
    os.close(theirs)
    try:
        yield process, ours
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def read_until(terminal: int, words: str, timeout_s: float) -> str:
    """What stands on the screen then, without the terminal's control sequences."""
    deadline = time.monotonic() + timeout_s
    seen = ""
    while words not in seen:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([terminal], [], [], left)[0]:
            raise AssertionError(f"{words!r} was not shown:\n{seen}")
        text = os.read(terminal, 65536).decode(errors="replace")
        seen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "")
    return seen


def processes_with(words: str) -> list[str]:
    """Command lines of running processes that contain this."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if words in line:
            found.append(line)
    return found
