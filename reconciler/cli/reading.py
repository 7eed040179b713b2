"""Reading a policy repository for the commands that work offline: its files or a commit, on all
cores, with a cache of what earlier runs have read, and a bar for whoever waits at a terminal.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.limits import MIB, limits_of, positive

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from reconciler.blobs import Blob
    from reconciler.limits import Limits
    from reconciler.load import Loaded
    from reconciler.reading.asked import Ahead
    from reconciler.reading.cache import Cache
    from reconciler.reading.keys import Outcome

BAR_AFTER_S = 0.4  # what is over sooner needs none
BAR_EVERY = 64  # files
DAY_S = 86_400


def add_reading(parser: argparse.ArgumentParser) -> None:
    """What to read."""
    parser.add_argument("path", nargs="?", type=Path, default=Path(), help="a folder (default: .)")
    parser.add_argument(
        "--rev", help="a commit (or tree) of the Git repository at PATH instead of its files"
    )
    parser.add_argument(
        "--policy-path", default="", help="folder of the policies inside PATH or the commit"
    )


def add_cache(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "cache", "what files were read as, by their content and this program's; never a secret"
    )
    group.add_argument(
        "--cache-dir", type=Path, metavar="DIR",
        help="folder of it (default: mesh-reconciler in XDG_CACHE_HOME, or in ~/.cache)",
    )  # fmt: skip
    group.add_argument(
        "--cache-mib", type=positive, default=256, metavar="N",
        help="its size, at most; the oldest goes first (default: 256)",
    )  # fmt: skip
    group.add_argument("--no-cache", action="store_true", help="read every file, and keep nothing")


def policy_folder(args: argparse.Namespace) -> Path:
    """Inside PATH also for a policy path that begins with a slash, as the global takes it."""
    return Path(args.path, args.policy_path.strip("/"))


def policy_blobs(args: argparse.Namespace) -> dict[str, Blob]:
    """Of the commit that --rev names, else of the folder. Raises ValueError or OSError."""
    if not args.rev:
        return folder_blobs(policy_folder(args), limits_of(args))
    from reconciler.git.reading import revision_blobs

    return revision_blobs(args.path, args.rev, args.policy_path, limits_of(args))


def loaded(args: argparse.Namespace, blobs: dict[str, Blob]) -> Loaded:
    """Everything the files say, and everything that is wrong with them."""
    with ahead(args) as options:
        return _loaded(args, blobs, options)


def outcome(args: argparse.Namespace, blobs: dict[str, Blob]) -> Outcome:
    """Only what is wrong with them; of a repository that was checked before, at once."""
    from reconciler.reading.cache import Unusable
    from reconciler.reading.keys import Keys, Outcome, decoded_outcome, encoded_outcome

    with ahead(args) as options:
        cache, key = options.cache, b""
        with suppress(Unusable):  # whoever reads the files tells why
            if cache is not None:
                key = Keys(options.program, "outcome", limits_of(args)).of_all(blobs)
                known = decoded_outcome(cache.get([key]).get(key, b""))
                if known is not None:
                    cache.put({})
                    return known
        found = _loaded(args, blobs, options)
        made = Outcome(len(found.resources), found.problems)
        with suppress(Unusable):
            if cache is not None:
                cache.put({key: encoded_outcome(made)})
        return made


def _loaded(args: argparse.Namespace, blobs: dict[str, Blob], options: Ahead) -> Loaded:
    from reconciler.defaults import with_warnings
    from reconciler.hints.found import with_hints
    from reconciler.load import LoadMemo, load
    from reconciler.reading.ahead import read_ahead
    from reconciler.runtime.collector import undisturbed

    limits, memo = limits_of(args), LoadMemo(len(blobs) + 1)
    with undisturbed():
        read_ahead(blobs, memo, limits, options)
        return with_hints(with_warnings(load(blobs, memo, limits)), blobs)


@contextmanager
def ahead(args: argparse.Namespace) -> Iterator[Ahead]:
    from reconciler.reading.asked import Ahead, processes

    cache, program = (None, "") if args.no_cache else _cache(args)
    try:
        with _bar() as progress:
            yield Ahead(
                processes=processes(),
                cache=cache,
                program=program,
                progress=progress,
                told=_passed_over,
            )
    finally:
        if cache is not None:
            cache.close()


def _cache(args: argparse.Namespace) -> tuple[Cache | None, str]:
    """Passed over where it cannot be used: that costs time, and no verdict."""
    from reconciler.reading.cache import Unusable, default_folder, opened
    from reconciler.reading.program import program

    folder = args.cache_dir or default_folder(os.environ)
    try:
        return opened(folder, args.cache_mib * MIB, int(time.time() // DAY_S)), program()
    except (Unusable, OSError) as error:
        _passed_over(f"{folder}: {error}")
        return None, ""


def _passed_over(why: str) -> None:
    sys.stderr.write(f"without the cache: {why}\n")


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """On a terminal, and on the stream that nobody parses."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    shown = _Bar()
    try:
        yield shown.progress
    finally:
        shown.end()


class _Bar:
    """Drawn once it has taken long enough; gone when all is read."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self._end: Callable[[], None] | None = None
        self._update: Callable[[int, int], None] | None = None

    def progress(self, done: int, total: int) -> None:
        if done % BAR_EVERY and done != total:
            return
        if self._update is None and time.monotonic() - self.began > BAR_AFTER_S:
            self._draw()
        if self._update is not None:
            self._update(done, total)

    def _draw(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TextColumn("files"))
        bar = Progress(*columns, console=Console(stderr=True), transient=True)
        task = bar.add_task("reading")
        bar.start()
        self._end = bar.stop
        self._update = lambda done, total: bar.update(task, completed=done, total=total)

    def end(self) -> None:
        if self._end is not None:
            self._end()


def folder_blobs(folder: Path, limits: Limits) -> dict[str, Blob]:
    """The files of a working folder; hidden folders are left out, links are not followed."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; name the policy repository")
    found: dict[str, Blob] = {}
    waiting = [("", str(folder))]
    while waiting:
        prefix, at = waiting.pop()
        with os.scandir(at) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
        below = []
        for entry in ordered:
            name = entry.name
            if entry.is_dir(follow_symlinks=False):
                if not name.startswith("."):
                    below.append((f"{prefix}{name}/", entry.path))
                continue
            blob = _blob(entry, limits)
            if blob is not None:
                found[_shown(prefix + name)] = blob
            if len(found) > limits.tree_entries + 1:
                return found
        waiting += reversed(below)
    return found


def _shown(path: str) -> str:
    """A name may hold what a terminal would obey."""
    return path if path.isprintable() else ascii(path)[1:-1]


def _blob(entry: os.DirEntry[str], limits: Limits) -> Blob | None:
    from reconciler.blobs import SUFFIXES, SYMLINK, Blob
    from reconciler.reading.keys import content_id

    if entry.is_symlink():
        return Blob("", b"", SYMLINK)
    if not entry.name.endswith(SUFFIXES):
        return None
    # It may be another file by now: a link is not followed, and a pipe not waited for.
    descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - it is open already
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return Blob("", b"", stat.S_IFMT(status.st_mode))
        data = file.read(limits.blob_bytes + 1) if status.st_size <= limits.blob_bytes else None
    if data is None or len(data) > limits.blob_bytes:
        return Blob("", None)
    return Blob(content_id(data), data)
