"""Reading ahead: the same as reading, by other processes and from earlier runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.limits import DEFAULT, Limits
from reconciler.load import Blob, LoadMemo, load, read_file
from reconciler.reading import ahead
from reconciler.reading.ahead import BATCH_FILES, FILES_ALONE_MAX, read_ahead
from reconciler.reading.asked import Ahead
from reconciler.reading.cache import FILE, Cache, opened
from reconciler.reading.keys import content_id
from tests.bench import policies

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.load import Loaded
    from reconciler.verdict import Read

TWO = Ahead(processes=2)
COUNT = FILES_ALONE_MAX + BATCH_FILES + 7


def blob(text: str) -> Blob:
    return Blob(content_id(text.encode()), text.encode())


def repository(count: int = COUNT, strict: bool = False) -> dict[str, Blob]:
    """Clean and faulty files, some that are refused unread, and settings."""
    found = {policies.path(number): blob(policies.policy(number)) for number in range(count)}
    found["mesh.yaml"] = blob(policies.MESH)
    found["reconciler.yaml"] = blob(f"strict: {str(strict).lower()}\n")
    found["bad/syntax.yaml"] = blob("a: [")
    found["bad/unknown.yaml"] = blob("type: Mesh\nname: m\ncolour: red\n")
    found["bad/large.yaml"] = Blob("1" * 40, None)
    found["bad/link.yaml"] = Blob("2" * 40, b"", 0o120000)
    found["bad/na\udcffme.yaml"] = blob("{}")
    return found


def through(blobs: dict[str, Blob], options: Ahead, limits: Limits = DEFAULT) -> Loaded:
    memo = LoadMemo()
    read_ahead(blobs, memo, limits, options)
    return load(blobs, memo, limits)


def directly(blobs: dict[str, Blob], limits: Limits = DEFAULT) -> Loaded:
    return load({p: Blob("", b.data, b.mode) for p, b in blobs.items()}, LoadMemo(), limits)


def same(found: Loaded, wanted: Loaded) -> bool:
    """But for how many were read just now."""
    return (found.resources, found.problems, found.provenance, found.needs) == (
        wanted.resources, wanted.problems, wanted.provenance, wanted.needs,
    )  # fmt: skip


def forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Read:
        raise AssertionError("read here")

    monkeypatch.setattr(ahead, "read_file", refuse)
    monkeypatch.setattr("reconciler.load.read_file", refuse)


@pytest.mark.parametrize("strict", [True, False])
def test_processes_find_what_one_finds(strict: bool) -> None:
    blobs = repository(strict=strict)
    told: list[tuple[int, int]] = []
    found = through(blobs, Ahead(processes=2, progress=lambda *at: told.append(at)))
    assert same(found, directly(blobs))
    assert found.read == 1  # the one that is too large: it is refused, not read
    assert told == [(number, len(told)) for number in range(1, len(told) + 1)]
    assert len(told) == len(blobs) - 2


def test_the_limits_are_those_of_the_repository() -> None:
    blobs = repository()
    blobs["reconciler.yaml"] = blob("limits: {documents: 1}\n")
    blobs["two.yaml"] = blob("---\n---\n")
    assert "SRC005" in {p.code for p in through(blobs, TWO).problems}
    few = Limits(tree_entries=10)
    assert same(through(blobs, TWO, few), directly(blobs, few))


def test_few_files_start_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_Reader", None)
    blobs = repository(20)
    assert same(through(blobs, TWO), directly(blobs))
    assert same(through(repository(), Ahead(processes=1)), directly(repository()))


@pytest.mark.parametrize(
    "program",
    [
        "raise SystemExit(1)",
        "import sys; sys.stdout.write('x' * 9); sys.stdout.flush(); sys.stdin.read()",
        # It greets, answers one file, and ends.
        "import sys; from reconciler.reading import child, form\n"
        "form.write_frames(sys.stdout.buffer, [child.home()])\n"
        "form.read_frame(sys.stdin.buffer)\n"
        "form.write_frames(sys.stdout.buffer, [b'[[],[],[],[]]x'])",
        # Another program of the same name, to which every file is empty.
        "import sys; from reconciler.reading import form\n"
        "form.write_frames(sys.stdout.buffer, [b'/elsewhere/reconciler/load.py'])\n"
        "for _ in range(51): form.read_frame(sys.stdin.buffer)\n"
        "form.write_frames(sys.stdout.buffer, [b'[[],[],[],[]]'] * 50)",
    ],
)
def test_a_process_that_fails_costs_time_and_no_file(
    program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "python"
    file.write_text(f"#!{sys.executable}\n{program}\n")
    file.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(file))
    blobs = repository()
    assert same(through(blobs, TWO), directly(blobs))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    assert same(through(blobs, TWO), directly(blobs))


def test_e29_modules_in_a_strangers_folder_are_not_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Pull requests are checked from within their folder."""
    (tmp_path / "reconciler").mkdir()
    for name in ("reconciler/__init__.py", "json.py", "yaml.py", "signal.py"):
        (tmp_path / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    forbidden(monkeypatch)
    memo = LoadMemo()
    read_ahead(repository(), memo, DEFAULT, TWO)  # all by the others
    assert len(memo.held) > FILES_ALONE_MAX
    assert not (tmp_path / "ran").exists()


# --- with a cache ---


def cached(folder: Path, told: Callable[[str], None] = lambda _: None, program: str = "p") -> Ahead:
    cache = opened(folder / "cache", 10**8, 20_000)
    return Ahead(processes=2, cache=cache, program=program, told=told)


def test_the_next_run_reads_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = repository()
    first = through(blobs, cached(tmp_path))
    forbidden(monkeypatch)
    blobs.pop("bad/large.yaml")  # never read, and refused each time
    again = through(blobs, cached(tmp_path))
    assert again.resources == first.resources


@pytest.mark.parametrize("program", ["p", "q"])
def test_c32_another_program_reads_anew(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a laxer program has passed says nothing in a stricter one."""
    blobs = {"mesh.yaml": blob(policies.MESH), "t.yaml": blob(policies.policy(0))}
    through(blobs, cached(tmp_path))
    read: list[str] = []

    def noted(path: str, blob: Blob, **options: Any) -> Read:
        read.append(path)
        return read_file(path, blob, **options)

    monkeypatch.setattr(ahead, "read_file", noted)
    through(blobs, cached(tmp_path, program=program))
    assert read == ([] if program == "p" else ["mesh.yaml", "t.yaml"])


def test_c32_a_repository_that_becomes_strict_is_read_anew(tmp_path: Path) -> None:
    lax, strict = repository(strict=False), repository(strict=True)
    assert same(through(lax, cached(tmp_path)), directly(lax))
    assert same(through(strict, cached(tmp_path)), directly(strict))
    assert same(through(lax, cached(tmp_path)), directly(lax))


def test_e27_a_plain_secret_is_not_in_the_cache(tmp_path: Path) -> None:
    secret = "c2VjcmV0LXBhc3N3b3Jk"
    mesh = (
        "type: Mesh\nname: default\nmtls: {enabledBackend: a, backends: [{name: a, type: provided, "
        f"conf: {{cert: {{inline: {secret}}}, key: {{inlineString: {secret}}}}}}}]}}\n"
    )
    for text in (mesh, f"type: Secret\nmesh: default\nname: s\ndata: {secret}\n"):
        through({"m.yaml": blob(text), "x.yaml": blob(policies.MESH)}, cached(tmp_path))
        assert secret.encode() not in (tmp_path / "cache" / FILE).read_bytes()


def test_a_cache_that_fails_is_told_once_and_costs_no_file(tmp_path: Path) -> None:
    blobs, told = repository(5), list[str]()
    options = cached(tmp_path, told.append)
    through(blobs, options)
    (tmp_path / "cache" / FILE).write_bytes(b"SQLite format 3\0" + b"\xff" * 8000)
    broken = cached(tmp_path, told.append)  # begun anew
    assert same(through(blobs, broken), directly(blobs))
    assert told == []
    assert isinstance(broken.cache, Cache)
    broken.cache.close()
    assert same(through(blobs, broken), directly(blobs))
    assert len(told) == 1


def test_a_cache_damaged_meanwhile_is_thrown_away(tmp_path: Path) -> None:
    blobs, told = repository(), list[str]()
    through(blobs, cached(tmp_path))
    file = tmp_path / "cache" / FILE
    whole = bytearray(file.read_bytes())
    whole[8192:] = b"\x07" * (len(whole) - 8192)
    file.write_bytes(whole)
    assert same(through(blobs, cached(tmp_path, told.append)), directly(blobs))
    assert len(told) == 1
    assert "malformed" in told[0]
    assert not file.exists()
