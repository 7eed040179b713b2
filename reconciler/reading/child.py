"""A process that reads files for another one: `python -P -m reconciler.reading.child`.

It says first where its program is, and then answers batch after batch, until its input ends. A
batch is a header, {"strict", "limits", "files": [[path, mode], ...]}, and the content of each file;
the answer is a frame a file.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from typing import TYPE_CHECKING

from reconciler import load
from reconciler.limits import Limits
from reconciler.load import Blob, read_file
from reconciler.reading.form import encoded, read_frame, write_frames

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

LOOK_EVERY = 50_000  # what reading makes goes by itself, but for the errors


def home() -> bytes:
    """By which both sides know that they are the same program."""
    return (load.__file__ or "").encode()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other one decides when this ends
    gc.set_threshold(LOOK_EVERY)
    batches, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else prints must not break the frames
    try:
        write_frames(answers, (home(),))
        while (head := read_frame(batches)) is not None:
            write_frames(answers, _answers(json.loads(head), batches))
    except BrokenPipeError:
        os._exit(0)


def _answers(head: dict[str, object], batches: BinaryIO) -> Iterator[bytes]:
    files, limits = head["files"], head["limits"]
    assert isinstance(files, list)
    assert isinstance(limits, dict)
    contents = [read_frame(batches) for _ in files]
    for (path, mode), data in zip(files, contents, strict=True):
        blob = Blob("", data, mode)
        yield encoded(read_file(path, blob, strict=bool(head["strict"]), limits=Limits(**limits)))


if __name__ == "__main__":
    main()
