"""When did the repository move? An async iterator of real changes and of failures.

A local repository is watched (inotify, by watchfiles): a push is seen within milliseconds. A remote
one is asked every `poll_s`, give or take jitter. Whatever wakes it, only ref ids decide whether
something changed, so a hint too many costs a ref check and a hint too few is made good by a slow
poll. Changes during a fetch melt into one more fetch: a burst converges on the last commit.
"""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from watchfiles import awatch

from reconciler.git.errors import GitFailed, Permanent
from reconciler.runtime.retry import backoff_s

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping
    from pathlib import Path

    from reconciler.git.mirror import Mirror

# Before there is a loop: `awatch` would do it on the first of its turns, and hold it for 15 ms.
with suppress(ImportError):
    import_module("anyio._backends._asyncio")

# watchfiles looks whether it shall stop once a step: at 1 ms it costs 3 % of a core when idle, at
# 5 ms 0.6 %, for a median of 6 instead of 2 ms until a moved ref is noticed.
STEP_MS = 5
DEBOUNCE_MS = 50
RUST_TIMEOUT_MS = 1000
REWATCH_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """`poll_s` for a remote; `safety_poll_s` for a local one, beside watching it. Refs that begin
    with `quiet` wake nobody ("": none). A first look that takes longer than `first_slow_s` is told
    as a failure while it goes on: who starts need not wait until a hanging server is given up.
    """

    poll_s: float = 5.0
    safety_poll_s: float = 10.0
    jitter: float = 0.1  # ± this share of every wait
    retry_first_s: float = 0.5
    retry_max_s: float = 60.0
    quiet: str = ""
    first_slow_s: float = 3.0


@dataclass(frozen=True, slots=True)
class TipsChanged:
    """Ref -> commit oid of everything the mirror follows, now readable there."""

    tips: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FetchFailed:
    """`attempt` counts failures in a row from 1; `permanent`: a person must change something."""

    message: str
    attempt: int
    permanent: bool


@dataclass(frozen=True, slots=True)
class FetchRecovered:
    """The repository answers again, whether it moved or not."""


Change = TipsChanged | FetchFailed | FetchRecovered


async def tips(mirror: Mirror, options: WatchOptions) -> AsyncGenerator[Change, None]:
    """Yields the tips at once, then each change; the world's faults are yielded, not raised.

    Never ends: close it (`aclose`) to stop watching.
    """
    seen: Mapping[str, str] | None = None
    failures = 0
    async with hints_of(mirror.address.path, options.quiet) as hint:
        while True:
            hint.clear()
            fetching = asyncio.create_task(asyncio.to_thread(mirror.fetch))
            try:
                if seen is None and not failures and await _is_slow(fetching, options):
                    failures = 1
                    text = f"{mirror.address}: no answer within {options.first_slow_s:g} s"
                    yield FetchFailed(f"{text}, still waiting", failures, permanent=False)
                found = await fetching
            except (GitFailed, OSError) as error:
                failures += 1
                yield FetchFailed(str(error), failures, isinstance(error, Permanent))
            else:
                if failures:
                    failures = 0
                    yield FetchRecovered()
                if found != seen:
                    seen = found
                    yield TipsChanged(found)
            finally:
                fetching.cancel()
            with suppress(TimeoutError):
                async with asyncio.timeout(_wait_s(mirror, options, failures)):
                    await hint.wait()


async def _is_slow(fetching: asyncio.Task[Mapping[str, str]], options: WatchOptions) -> bool:
    done, _ = await asyncio.wait({fetching}, timeout=options.first_slow_s)
    return not done


def _wait_s(mirror: Mirror, options: WatchOptions, failures: int) -> float:
    if failures:
        wait = backoff_s(failures, first_s=options.retry_first_s, max_s=options.retry_max_s)
    else:
        wait = options.poll_s if mirror.address.path is None else options.safety_poll_s
    return wait * random.uniform(1 - options.jitter, 1 + options.jitter)  # noqa: S311 - no secret


@asynccontextmanager
async def hints_of(path: Path | None, quiet: str = "") -> AsyncIterator[asyncio.Event]:
    """Set whenever refs of the local repository may have moved, other than the quiet ones; never,
    for a remote one.
    """
    hint = asyncio.Event()
    async with AsyncExitStack() as stack:
        if path is not None:
            task = asyncio.create_task(_watch(path, hint, quiet), name=f"watch {path}")
            stack.push_async_callback(_cancel, task)
        yield hint


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _watch(path: Path, hint: asyncio.Event, quiet: str) -> None:
    """Watch refs/ and the folder it is in; again when the repository was replaced, or appears."""
    while True:
        folder = await asyncio.to_thread(refs_folder, path)
        watched = _identity(folder)
        if watched is not None:
            async with asyncio.TaskGroup() as group:
                still = str(folder / quiet) if quiet else ""
                below = group.create_task(_notice(folder / "refs", hint, still, recursive=True))
                top = group.create_task(_notice(folder, hint, "", recursive=False))
                await asyncio.sleep(0)  # both watch from here on
                hint.set()  # what moved before that is found now
                await _replaced(folder, watched)
                below.cancel()
                top.cancel()
            hint.set()
        await asyncio.sleep(REWATCH_S)


async def _notice(folder: Path, hint: asyncio.Event, still: str, *, recursive: bool) -> None:
    """Never ends. When nothing can be watched (the machine has no inotify instance left, or the
    folder went) it looks every second, until something can.
    """
    while True:
        changes = awatch(
            folder,
            watch_filter=None,  # the default one does not look into .git
            step=STEP_MS,
            debounce=DEBOUNCE_MS,
            rust_timeout=RUST_TIMEOUT_MS,
            recursive=recursive,
        )
        with suppress(OSError, RuntimeError):
            async for found in changes:
                if not still or not all(_is_below(path, still) for _, path in found):
                    hint.set()
        await asyncio.sleep(REWATCH_S)
        hint.set()


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}{os.sep}")


async def _replaced(folder: Path, watched: tuple[int, ...]) -> None:
    """Returns once other folders stand in their place: inotify stays with the old ones."""
    while _identity(folder) == watched:  # noqa: ASYNC110 - nothing tells us when
        await asyncio.sleep(REWATCH_S)


def _identity(folder: Path) -> tuple[int, ...] | None:
    try:
        return tuple(part for path in (folder, folder / "refs") for part in _inode(path))
    except OSError:
        return None


def _inode(path: Path) -> tuple[int, int]:
    found = path.stat()
    return (found.st_dev, found.st_ino)


def refs_folder(path: Path) -> Path:
    """The folder that holds refs/: the repository itself when bare, else its .git, for a linked
    work tree that of the main one.
    """
    inner = path / ".git"
    try:
        if inner.is_dir():
            return inner
        own = path / inner.read_text().removeprefix("gitdir:").strip()
        common = own / "commondir"
        return own / common.read_text().strip() if common.exists() else own
    except (OSError, ValueError):
        return path
