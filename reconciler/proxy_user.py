"""The user that a proxy runs as, on whom redirected hosts depend: the rules leave this user's
traffic alone, and anybody else's comes back to the proxy, for ever.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - asked for by name later, when its folder may be closed to us
import os
import pwd
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NOBODYS = ("192.0.2.1", 9)  # of the range for documentation: no host has it
ANSWER_S = 0.2  # a redirected connection never leaves this host
ID_MAX = 2**32 - 2


class NotThisUser(Exception):
    """The proxy cannot run as this user; the text says why and what helps."""


@dataclass(frozen=True, slots=True)
class User:
    uid: int
    gid: int


def user_of(text: str) -> User:
    """A name, or the number of a user that need not have a name. Raises NotThisUser."""
    if text.isascii() and text.isdigit() and int(text) <= ID_MAX:
        with suppress(KeyError):
            return _user(pwd.getpwuid(int(text)))
        return User(int(text), int(text))
    try:
        return _user(pwd.getpwnam(text))
    except (KeyError, ValueError) as error:
        raise NotThisUser(f'there is no user "{text}"; use a name or a number') from error


def _user(found: pwd.struct_passwd) -> User:
    return User(found.pw_uid, found.pw_gid)


def hand_over(folder: Path, user: User) -> None:
    """Made for the user, or there and theirs already. Raises NotThisUser, OSError."""
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True)
        os.chown(folder, user.uid, user.gid)
    found = folder.stat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user.uid:
        raise NotThisUser(
            f"{folder} does not belong to user {user.uid}; give it to them, or "
            "choose a --workdir that is not there yet"
        )


def become(user: User) -> None:
    """This process, and Envoy after it, for ever: what the process asks the zone must not be
    redirected either. Raises NotThisUser.
    """
    if os.geteuid() == user.uid == os.getuid():
        return
    try:
        os.setgroups([])
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
    except PermissionError as error:
        raise NotThisUser(
            f"only root can start a proxy as another user, {user.uid}; start it as that user"
        ) from error


def comes_back(outbound_port: int) -> bool:
    """Whether a connection of this process's user would be redirected: then Envoy's own would be.

    One is tried, to an address of nobody. Where it is not redirected its packet ends at the first
    router at the latest; where it is, it is answered on this host at once.
    """
    with suppress(OSError), socket.socket() as listening, socket.socket() as tried:
        with suppress(OSError):  # Another one answers there: as good.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(("127.0.0.1", outbound_port))
            listening.listen()
        tried.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
        tried.settimeout(ANSWER_S)
        tried.connect(NOBODYS)
        return True
    return False
