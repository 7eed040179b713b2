"""The process that speaks to remote repositories: `python -m reconciler.git.remote_child`.

Reads requests from its standard input and answers on its standard output, one at a time, until the
input ends. It may hang or be killed at any moment; whatever it was writing in the mirror is then
incomplete objects, which Git ignores.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path

from reconciler.git import transport
from reconciler.git.address import Address
from reconciler.git.errors import GitFailed
from reconciler.git.frames import encode_frame, read_frame
from reconciler.git.library import limit_server, open_bare

ORPHAN_GRACE_S = 5.0


def answer(request: dict[str, object]) -> dict[str, object]:
    """Carry out one request; faults become `{"error": class name, "message": text}`."""
    try:
        return {"result": _carry_out(request)}
    except GitFailed as error:
        return {"error": type(error).__name__, "message": str(error)}
    except Exception as error:  # the parent decides; the child goes on
        return {"error": "Transient", "message": f"{type(error).__name__}: {error}"}


def _carry_out(request: dict[str, object]) -> object:
    token, ssh_key = request.get("token"), request.get("ssh_key")
    address = Address(
        str(request["url"]),
        token=str(token) if token is not None else None,
        ssh_key=str(ssh_key) if ssh_key is not None else None,
    )
    with open_bare(Path(str(request["mirror"]))) as mirror:
        match request["do"]:
            case "list_refs":
                return transport.list_refs(mirror, address)
            case "fetch":
                refspecs = request["refspecs"]
                assert isinstance(refspecs, list)
                transport.fetch(mirror, address, refspecs)
            case "push":
                moves = request["moves"]
                assert isinstance(moves, list)
                failed = transport.push(mirror, address, [transport.Move(*m) for m in moves])
                return {ref: (type(why).__name__, str(why)) for ref, why in failed.items()}
            case other:
                raise ValueError(f"unknown request {other}")
    return None


def main() -> None:
    """Serve until the parent closes the pipe. Arguments: memory in bytes, answer limit in s."""
    memory_bytes_max, answer_s = int(sys.argv[1]), float(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when this ends
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes_max, memory_bytes_max))
    limit_server(min(answer_s, 10.0), answer_s)
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else prints must not break the frames
    while (request := read_frame(requests)) is not None:
        # Should the parent die, nobody is left to kill a hanging call: SIGALRM does, in C code too.
        signal.setitimer(signal.ITIMER_REAL, answer_s + ORPHAN_GRACE_S)
        try:
            answers.write(encode_frame(answer(request)))
            answers.flush()
        except BrokenPipeError:
            os._exit(0)  # The parent is dead: nobody is left to read this, or a traceback.
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main()
