"""Talking to a repository: list its refs, fetch, push with the expected old id. Blocking.

Used in this process for a local path, in `remote_child` for everything else. Faults come out as
Transient, Permanent or RefMoved, with the cure in the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pygit2
from pygit2.enums import CredentialType, FetchPrune

from reconciler.git import local_refs
from reconciler.git.errors import (
    GitFailed,
    Permanent,
    RefMoved,
    RewriteRefused,
    Throttled,
    Transient,
)
from reconciler.git.library import UNREADABLE, open_bare

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pygit2.remotes import PushUpdate

    from reconciler.git.address import Address

SAID_MAX = 1000
ZERO = "0" * 40
REDIRECTS = "http.followRedirects"
REFS_MAX = 50_000
OUTGOING = "refs/outgoing/"  # in the mirror only, while a push is under way
CREDENTIAL_ROUNDS_MAX = 3  # libgit2 asks again for ever when an answer is refused

# Words of libgit2 and of servers. A bare "403" is none: an object's id may hold it.
AUTHENTICATION = re.compile(
    r"authentication|credential|permission denied|publickey|status code: 40[13]\b"
)
THROTTLED = re.compile(r"status code: 429\b|too many requests|rate.?limit")
MISSING = re.compile(
    r"repository .*not found|could not find repository|does not appear to be|not exported"
    r"|status code: 404\b|unsupported url"
)


class Move(NamedTuple):
    """One ref from `expected` (None: it must not exist) to `oid`; `rewrite`: not a descendant."""

    ref: str
    expected: str | None
    oid: str
    rewrite: bool = False


class Callbacks(pygit2.RemoteCallbacks):
    """Answers for credentials; keeps what a server said of a push: `moved` are refs that were not
    where they should be, before anything was sent.
    """

    def __init__(self, address: Address, expected: Mapping[str, str | None] | None = None) -> None:
        super().__init__()
        self.address = address
        self.expected = expected or {}
        self.asked = 0
        self.refused: dict[str, str] = {}
        self.moved: dict[str, str] = {}

    def credentials(
        self, url: str, username_from_url: str | None, allowed_types: CredentialType
    ) -> pygit2.Username | pygit2.UserPass | pygit2.Keypair:
        del url  # may hold a password
        self.asked += 1
        user = username_from_url or "git"
        if self.asked > CREDENTIAL_ROUNDS_MAX:
            raise Permanent(_no_access(self.address))
        if allowed_types & CredentialType.SSH_KEY:
            key = self.address.ssh_key
            return pygit2.Keypair(user, None, key, "") if key else pygit2.KeypairFromAgent(user)
        if allowed_types & CredentialType.USERPASS_PLAINTEXT and self.address.token is not None:
            return pygit2.UserPass(user, self.address.token)
        if allowed_types & CredentialType.USERNAME:
            return pygit2.Username(user)
        raise Permanent(_no_access(self.address))

    def certificate_check(self, certificate: None, valid: bool, host: bytes) -> bool:
        """Nobody unknown is spoken to. Without this, pygit2 takes any host key of an ssh server."""
        del certificate
        if valid:
            return True
        name = host.decode("utf-8", "replace")
        if self.address.url.startswith("ssh://"):
            cure = "check its host key, and add it to ~/.ssh/known_hosts of this process's user"
        else:
            cure = "name the authority that signed it in the file SSL_CERT_FILE points to"
        raise Permanent(f"{self.address}: {name} cannot prove who it is; {cure}")

    def push_negotiation(self, updates: list[PushUpdate]) -> None:
        """The lease: what the server has now must be what the writer saw."""
        for update in updates:
            name, found = update.dst_refname, str(update.src)
            expected = self.expected.get(name) or ZERO
            if found != expected:
                self.moved[name] = (
                    f"{name} of {self.address} is at {_short(found)}, not {_short(expected)}"
                )
        if self.moved:
            raise RefMoved("; ".join(self.moved.values()))

    def push_update_reference(self, refname: str, message: str | None) -> None:
        if message is not None:
            self.refused[refname] = message


def list_refs(mirror: pygit2.Repository, address: Address) -> dict[str, str]:
    """Ref name -> oid as the server has them now; a symbolic HEAD is left out."""
    try:
        remote = _server(mirror, address)
        heads = remote.list_heads(callbacks=Callbacks(address))
    except UNREADABLE as error:
        raise failure(error, address) from error
    if len(heads) > REFS_MAX:
        raise Permanent(f"{address}: more than {REFS_MAX} refs; follow a repository of its own")
    names = ((head.name or "", str(head.oid)) for head in heads)
    return {name: oid for name, oid in names if name.startswith("refs/") and "^{}" not in name}


def fetch(mirror: pygit2.Repository, address: Address, refspecs: Sequence[str]) -> None:
    """Bring the refs of these specs into the mirror; those gone at the server go here as well."""
    try:
        remote = _server(mirror, address)
        remote.fetch(list(refspecs), callbacks=Callbacks(address), prune=FetchPrune.PRUNE)
    except UNREADABLE as error:
        raise failure(error, address) from error


def push(
    mirror: pygit2.Repository, address: Address, moves: Iterable[Move]
) -> dict[str, GitFailed]:
    """Move refs to commits the mirror holds, all in one push. Returns why, for those that did not
    move; raises when it is not known.

    The refspecs are forced, the moves are not: `push_negotiation` compares what the server has with
    what is expected, and the server compares again when it moves the ref. Over a network only:
    libgit2's local transport overwrites a rival that moves the ref between negotiation and upload;
    `local_refs` writes those.
    """
    for name in mirror.listall_references():
        if name.startswith(OUTGOING):  # Of a push in which this process was killed.
            mirror.references.delete(name)
    left = {move.ref: move for move in moves}
    failed: dict[str, GitFailed] = {}
    while left:
        callbacks = Callbacks(address, {move.ref: move.expected for move in left.values()})
        try:
            _push_once(mirror, address, left.values(), callbacks)
        except UNREADABLE as error:
            raise failure(error, address) from error
        except RefMoved:  # Nothing was sent yet: the others go without it.
            failed |= {ref: RefMoved(text) for ref, text in callbacks.moved.items()}
            left = {ref: move for ref, move in left.items() if ref not in callbacks.moved}
            continue
        refused = callbacks.refused.items()
        failed |= {ref: _refused(said, left[ref], address) for ref, said in refused}
        return failed | _lost(mirror, address, left, failed)
    return failed


def _push_once(
    mirror: pygit2.Repository, address: Address, moves: Iterable[Move], callbacks: Callbacks
) -> None:
    sources = {move: f"{OUTGOING}{move.oid}" for move in moves}
    for move, source in sources.items():
        mirror.create_reference_direct(source, move.oid, force=True)
    try:
        refspecs = [f"+{source}:{move.ref}" for move, source in sources.items()]
        _server(mirror, address).push(refspecs, callbacks=callbacks)
    finally:
        for source in set(sources.values()):
            mirror.references.delete(source)


def _lost(
    mirror: pygit2.Repository,
    address: Address,
    moves: Mapping[str, Move],
    failed: Mapping[str, GitFailed],
) -> dict[str, GitFailed]:
    """Read the refs back: servers were seen that report success and lose a push."""
    there = list_refs(mirror, address)
    return {
        ref: RefMoved(f"{address} reported {ref} moved, and it is at {_short(there.get(ref))}")
        for ref, move in moves.items()
        if ref not in failed and there.get(ref) != move.oid
    }


def _short(oid: str | None) -> str:
    return "nothing" if oid in (None, ZERO) else str(oid)[:12]


def _server(mirror: pygit2.Repository, address: Address) -> pygit2.Remote:
    """The token is for the host that was named: a redirect may change the path, not the host."""
    if REDIRECTS not in mirror.config or mirror.config[REDIRECTS] != "false":
        mirror.config[REDIRECTS] = "false"
    return mirror.remotes.create_anonymous(address.url)


def printable(text: str) -> str:
    """What a server says reaches logs and terminals."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return shown if len(shown) <= SAID_MAX else f"{shown[:SAID_MAX]} …"


def failure(error: Exception, address: Address) -> GitFailed:
    """What libgit2 said, sorted into worth another try or not."""
    if isinstance(error, GitFailed):
        return error
    said = printable(str(error).replace(address.url, str(address)))
    lowered = said.lower()
    if AUTHENTICATION.search(lowered):
        return Permanent(f"{_no_access(address)} ({said})")
    if "fast-forward" in lowered or "not present locally" in lowered:
        return RefMoved(f"{address}: {said}")
    if THROTTLED.search(lowered):
        return Throttled(f"{address}: {said}")
    if "cannot redirect" in lowered:
        return Permanent(f"{address} sends elsewhere ({said}); give the address it now has")
    if MISSING.search(lowered):
        return Permanent(
            f"{address} is not a Git repository this process can read ({said}); "
            "check the address, and that the repository exists there"
        )
    return Transient(f"{address}: {said}")


def _refused(message: str, move: Move, address: Address) -> GitFailed:
    """The server's own word on a ref it did not move."""
    lowered, ref = message.lower(), move.ref
    moved = ("failed to update ref", "failed to lock", "stale", "cannot lock ref")
    if any(word in lowered for word in moved):
        return RefMoved(f"{address} did not move {ref}: {message}")
    if move.rewrite:
        return RewriteRefused(f"{address} does not let {ref} begin anew: {message}")
    if "fast-forward" in lowered:
        return RefMoved(f"{address} did not move {ref}: {message}")
    if THROTTLED.search(lowered):
        return Throttled(f"{address}: {message}")
    return Permanent(
        f"{address} refuses writes to {ref}: {message}; let this credential write it, "
        "or choose another --status-prefix"
    )


def _no_access(address: Address) -> str:
    return (
        f"{address} refuses access; give a token in RECONCILER_GIT_TOKEN (https), or a key with "
        "--git-ssh-key or in the ssh agent (ssh), that may read it and write its status refs"
    )


class Transport(Protocol):
    """How a mirror talks to its repository; the mirror is given by its folder."""

    def list_refs(self, mirror: Path) -> dict[str, str]: ...

    def fetch(self, mirror: Path, refspecs: Sequence[str]) -> None: ...

    def close(self) -> None: ...


class LocalTransport:
    """A repository of this machine: in this process, within milliseconds."""

    def __init__(self, address: Address, path: Path) -> None:
        self.address = address
        self.path = path

    def list_refs(self, mirror: Path) -> dict[str, str]:
        del mirror
        return local_refs.tips(self.path)

    def fetch(self, mirror: Path, refspecs: Sequence[str]) -> None:
        with open_bare(mirror) as repository:
            try:
                fetch(repository, self.address, refspecs)
            except Transient as error:
                # libgit2 gives up at the first of these, whatever is asked for.
                names = local_refs.dangling(self.path)
                if not names:
                    raise
                raise Permanent(
                    f"{self.path}: {', '.join(names)} names a ref that does not exist; "
                    f"remove it with `git symbolic-ref --delete {names[0]}`"
                ) from error

    def close(self) -> None:
        """Nothing is held open."""
