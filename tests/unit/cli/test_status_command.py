"""`reconciler status` and `wait`: what a control plane says, for people and for programs."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from reconciler.api.control_socket import control_app
from reconciler.api.serving import HttpServer, unix_socket
from reconciler.cli.main import main
from reconciler.inspection import Inspected, Inspection

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COMMIT = "a" * 40
COUNTS = {"total": 3, "acked": 2, "pending": 0, "rejected": 1}
GOOD: dict[str, object] = {
    "role": "global", "revision": COMMIT, "rejected": None, "problems": [], "warnings": [],
    "repository_error": "", "zones": [
        {"zone": "east", "connected": True, "revision": COMMIT, "nacks": {},
         "proxies": {**COUNTS, "acked": 3, "rejected": 0}, "rejections": []},
        {"zone": "new", "connected": False, "revision": None, "nacks": {}},
    ],
}  # fmt: skip
KUMA: dict[str, object] = {
    "role": "zone", "zone": "east", "revision": None, "without_commits": True, "connected": True,
    "proxies": {**COUNTS, "acked": 3, "rejected": 0}, "rejections": [],
}  # fmt: skip
REJECTION = {
    "proxy": "default.web-1",
    "type": "Cluster",
    "message": "no [such] field",
    "policies": ["timeouts.yaml:3"],
}
BAD_ZONE: dict[str, object] = {
    "role": "zone", "zone": "east", "revision": COMMIT, "connected": False,
    "global_error": "connection refused", "status_error": "the remote refused the push",
    "proxies": COUNTS, "rejections": [REJECTION], "refused": {"default.web-9": "no token"},
    "store_error": "no space left", "refused_resources": {"MeshTimeout t": "not a duration"},
    "proxy_list": [
        {"proxy": "default.web-1", "connected": True, "state": "rejected", "message": "no [such]"},
        {"proxy": ".ingress", "connected": False, "state": "away", "message": ""},
    ],
}  # fmt: skip


class Plane:
    def __init__(self, status: Mapping[str, object], outcome: Mapping[str, object]) -> None:
        self.answer = status
        self.outcome = outcome
        self.waited: list[tuple[str, float]] = []
        self.accepted: list[str] = []

    def status(self, *, proxies: bool) -> Mapping[str, object]:
        return self.answer

    async def wait(self, commit: str, timeout_s: float) -> Mapping[str, object]:
        self.waited.append((commit, timeout_s))
        return self.outcome

    async def inspect(self, asked: Inspection) -> Inspected:
        return Inspected(404, error=asked.question.name)

    async def accept(self, commit: str) -> Mapping[str, object]:
        self.accepted.append(commit)
        return self.outcome


async def ask(folder: Path, plane: Plane, *arguments: str) -> int:
    server = HttpServer(control_app(plane), unix_socket(folder / "control.sock"))
    await server.start()
    try:
        return await asyncio.to_thread(main, [*arguments, "--state-dir", str(folder)])
    finally:
        await server.stop()


async def test_all_well_is_said_in_one_table_and_exits_with_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await ask(tmp_path, Plane(GOOD, {}), "status") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"global: revision in force {COMMIT}"
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    assert cells == [
        ["east", "yes", COMMIT[:12], "3", "3", "0", "0"],
        ["new", "no", "unknown", *["unknown"] * 4],
    ]
    assert all(len(line) <= 80 and "…" not in line for line in lines)


async def test_zone_of_a_global_without_commits_has_no_revision_to_wait_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await ask(tmp_path, Plane(KUMA, {}), "status") == 0
    out = capsys.readouterr().out
    assert out.startswith("zone: policies in force as they came, from a global without commits")
    assert [cell.strip() for cell in out.splitlines()[-2].split("│")[1:4]] == [
        "east",
        "yes",
        "none",
    ]


async def test_everything_that_needs_an_eye_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await ask(tmp_path, Plane(BAD_ZONE, {}), "status", "--proxies") == 1
    out = capsys.readouterr().out
    for words in (
        "global: connection refused",
        "status commits: the remote refused the push",
        "disk: no space left",
        "refused default.web-9: no token",
        "refused MeshTimeout t: not a duration",
        "default.web-1 rejected Cluster: no [such] field (timeouts.yaml:3)",
        "│ .ingress      │ no        │ away     │           │",
    ):
        assert words in out


@pytest.mark.parametrize(
    ("change", "words", "code"),
    [
        ({"repository_error": "no route"}, "repository: no route", 0),
        ({"warnings": ["a.yaml:1:2: X1 odd"]}, "warning: a.yaml:1:2: X1 odd", 0),
        ({"rejected": "b" * 40, "problems": ["a.yaml:1:2: X1 bad"]}, "a.yaml:1:2: X1 bad", 1),
        (
            {"zones": [{"zone": "east", "connected": True, "nacks": {"MeshTimeout": "odd"}}]},
            "zone east rejected MeshTimeout: odd",
            1,
        ),
        ({"inventory": ["east/Dataplane default/web-1"]}, "east/Dataplane default/web-1", 0),
    ],
)
async def test_each_trouble_of_a_global_has_its_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, object],
    words: str,
    code: int,
) -> None:
    assert await ask(tmp_path, Plane({**GOOD, **change}, {}), "status") == code
    assert words in [line.strip() for line in capsys.readouterr().out.splitlines()]


async def test_programs_get_the_whole_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await ask(tmp_path, Plane(BAD_ZONE, {}), "status", "--format", "json") == 1
    assert json.loads(capsys.readouterr().out) == BAD_ZONE


@pytest.mark.parametrize(
    ("outcome", "code"), [("arrived", 0), ("rejected", 1), ("timeout", 4), ("odd", 2)]
)
async def test_wait_exits_by_the_outcome(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], outcome: str, code: int
) -> None:
    plane = Plane({}, {"outcome": outcome, "message": "m [x]", "details": ["d"]})
    found = await ask(tmp_path, plane, "wait", "--commit", "ABCDEF01", "--timeout", "1500ms")
    assert found == code
    assert capsys.readouterr().out == f"{outcome}: m [x]\n  d\n"
    assert plane.waited == [("abcdef01", 1.5)]


async def test_held_commit_is_told_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = {"commit": "b" * 40, "in_force": COMMIT, "message": "commit bbb is held: rewritten"}
    plane = Plane({**GOOD, "held": held}, {"outcome": "held", "message": "commit bbb is held"})
    assert await ask(tmp_path, plane, "status") == 1
    assert "commit bbb is held: rewritten" in capsys.readouterr().out
    assert await ask(tmp_path, plane, "wait", "--commit", "b" * 40) == 1
    assert "held: commit bbb is held" in capsys.readouterr().out


@pytest.mark.parametrize(("outcome", "code"), [("accepted", 0), ("refused", 1)])
async def test_accept_says_what_became_of_it(
    tmp_path: Path, outcome: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    plane = Plane(GOOD, {"outcome": outcome, "message": "because"})
    assert await ask(tmp_path, plane, "accept", "B" * 8) == code
    assert plane.accepted == ["b" * 8]
    assert capsys.readouterr().out == f"{outcome}: because\n"


@pytest.mark.parametrize("commit", ["main", "abc123", "f" * 41])
async def test_accept_takes_ids_only(tmp_path: Path, commit: str) -> None:
    plane = Plane(GOOD, {})
    assert await ask(tmp_path, plane, "accept", commit) == 2
    assert plane.accepted == []


def test_accept_without_a_control_plane_could_not_run(tmp_path: Path) -> None:
    assert main(["accept", COMMIT, "--state-dir", str(tmp_path)]) == 2
    assert main(["accept", COMMIT]) == 2
