"""Fills the memo of `load` with what it will ask for: from the cache of earlier runs, and where
many files are new in processes of their own, on all cores. Blocking.

`load` itself stays as it is: whatever could not be read ahead, it reads.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, BinaryIO, cast

from reconciler.load import memo_key, read_file, unread
from reconciler.reading import child
from reconciler.reading.cache import Damaged, Unusable
from reconciler.reading.form import decoded, encoded, read_frame, write_frames
from reconciler.reading.keys import Keys, may_be_kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.limits import Limits
    from reconciler.load import Blob, LoadMemo
    from reconciler.reading.asked import Ahead
    from reconciler.reading.cache import Cache
    from reconciler.repository_settings import RepositorySettings

FILES_ALONE_MAX = 200  # below that, processes take longer to start than to read
BATCH_FILES = 50
BATCH_BYTES = 512 * 1024

File = tuple[str, "Blob"]


def read_ahead(blobs: Mapping[str, Blob], memo: LoadMemo, maximum: Limits, options: Ahead) -> None:
    """Of the files that `load` of the same arguments would have to read."""
    settings, paths = unread(blobs, memo, maximum)
    files = [(path, blobs[path]) for path in paths if blobs[path].oid]
    files = [(path, blob) for path, blob in files if blob.data is not None]  # not too large
    _Reading(files, settings, memo, options).run()


class _Reading:
    """One call of `read_ahead`."""

    def __init__(
        self, files: list[File], settings: RepositorySettings, memo: LoadMemo, options: Ahead
    ) -> None:
        self.files = files
        self.settings = settings
        self.memo = memo
        self.options = options
        self.done = 0
        self.fresh: dict[bytes, bytes] = {}  # for the cache
        self.keys: dict[str, bytes] = {}

    def run(self) -> None:
        missing = self._from_cache()
        if self.options.processes > 1 and len(missing) > FILES_ALONE_MAX:
            missing = self._in_processes(missing)
        for path, blob in missing:
            self._take(path, blob, None)
        self._to_cache()

    def _from_cache(self) -> list[File]:
        cache, program = self.options.cache, self.options.program
        if cache is None:
            return self.files
        keys = Keys(program, "file", self.settings.strict, self.settings.limits)
        self.keys = {
            path: keys.of_file(path, blob) for path, blob in self.files if may_be_kept(blob)
        }
        try:
            held = cache.get(self.keys.values())
        except Unusable as error:
            self._without(cache, error)
            return self.files
        missing = []
        for path, blob in self.files:
            body = held.get(self.keys.get(path, b""))
            read = None if body is None else decoded(body, path)
            if read is None:
                missing.append((path, blob))
            else:
                self.memo.put(memo_key(path, blob, self.settings), read)
                self._count()
        return missing

    def _to_cache(self) -> None:
        cache = self.options.cache
        if cache is None or not self.keys:
            return
        try:
            cache.put(self.fresh)
        except Unusable as error:
            self._without(cache, error)

    def _without(self, cache: Cache, error: Unusable) -> None:
        self.keys, self.fresh = {}, {}
        self.options.told(str(error))
        if isinstance(error, Damaged):
            with suppress(Unusable):
                cache.discard()

    def _take(self, path: str, blob: Blob, body: bytes | None) -> None:
        """What a file was read as; it is read here where nobody else did."""
        read = None if body is None else decoded(body, path)
        key = self.keys.get(path)
        if read is None:
            settings = self.settings
            read = read_file(path, blob, strict=settings.strict, limits=settings.limits)
            body = None if key is None else encoded(read)
        self.memo.put(memo_key(path, blob, self.settings), read)
        if key is not None and body is not None:
            self.fresh[key] = body
        self._count()

    def _count(self) -> None:
        self.done += 1
        self.options.progress(self.done, len(self.files))

    def _in_processes(self, files: list[File]) -> list[File]:
        """Returns what none of them could read."""
        waiting = deque(_batches(files))
        count = min(self.options.processes, len(waiting))
        answers: queue.SimpleQueue[tuple[list[File], list[bytes]] | None] = queue.SimpleQueue()
        readers = [_Reader(self.settings) for _ in range(count)]
        threads = [
            threading.Thread(target=_drive, args=(reader, waiting, answers), daemon=True)
            for reader in readers
        ]
        left: list[File] = []
        try:
            for thread in threads:
                thread.start()
            while count:
                answer = answers.get()
                if answer is None:
                    count -= 1
                    continue
                batch, bodies = answer
                for (path, blob), body in zip(batch, bodies, strict=False):
                    self._take(path, blob, body)
                left += batch[len(bodies) :]
        finally:
            for reader in readers:
                reader.end()
            for thread in threads:
                thread.join()
        return left + [file for batch in waiting for file in batch]


def _batches(files: Iterable[File]) -> Iterator[list[File]]:
    batch: list[File] = []
    size = 0
    for path, blob in files:
        batch.append((path, blob))
        size += len(blob.data or b"")
        if len(batch) >= BATCH_FILES or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _drive(
    reader: _Reader,
    waiting: deque[list[File]],
    answers: queue.SimpleQueue[tuple[list[File], list[bytes]] | None],
) -> None:
    """Hands one process batch after batch; the first that fails is its last."""
    while waiting:
        try:
            batch = waiting.popleft()
        except IndexError:  # another one took it
            break
        bodies = reader.read(batch)
        answers.put((batch, bodies))
        if len(bodies) < len(batch):
            break
    answers.put(None)


class _Reader:
    """One process. It ends with this one, or before: then the files are read here."""

    def __init__(self, settings: RepositorySettings) -> None:
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None
        with suppress(OSError):
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                # Safe path: the folder where somebody checks a stranger's files holds no modules.
                [sys.executable, "-P", "-m", child.__name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        self.greeted = False

    def read(self, batch: list[File]) -> list[bytes]:
        """As many as it answered."""
        found: list[bytes] = []
        process = self.process
        if process is None:
            return found
        answers = cast("BinaryIO", process.stdout)
        limits = self.settings.limits
        head = {
            "strict": self.settings.strict,
            "limits": asdict(limits),
            "files": [(path, blob.mode) for path, blob in batch],
        }
        with suppress(OSError, ValueError):  # it ended, or was ended
            if not self.greeted and read_frame(answers) != child.home():
                return found
            self.greeted = True
            contents = (blob.data or b"" for _, blob in batch)
            write_frames(cast("BinaryIO", process.stdin), (json.dumps(head).encode(), *contents))
            for _ in batch:
                answer = read_frame(answers)
                if answer is None:
                    break
                found.append(answer)
        return found

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                with suppress(OSError):
                    if pipe is not None:
                        pipe.close()
