"""Network namespaces that a test makes for itself, joined by cables (pairs of veth), and work done
in them: programs, and threads whose sockets belong to a user. Needs root and `ip` (iproute2).

Usual: `with namespaces("app", "peer") as (app, peer): cable(app, peer, 1)`, then `app.run("dig")`
or `app.within(lambda: socket.create_connection(...), uid=1000)`. Sockets stay in the network, and
of the user, that they were made in, wherever they are used afterwards.
"""

from __future__ import annotations

import ctypes
import encodings.idna  # noqa: F401 - wanted by sockets, in threads that may not read the file
import os
import subprocess
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")
CLONE_NEWNET = 0x40000000
ROOT = 0
LIMIT_S = 60.0  # of a program or a thread in a namespace: nothing here takes long


class Namespace:
    """One network, empty but for `lo`. Made by `make`, taken away by `remove`."""

    def __init__(self, role: str) -> None:
        self.name = f"reconciler-{os.getpid()}-{role}"

    @property
    def file(self) -> Path:
        return Path("/run/netns") / self.name

    def make(self) -> None:
        ip("netns", "add", self.name)
        self.ip("link", "set", "dev", "lo", "up")

    def remove(self) -> None:
        subprocess.run(["ip", "netns", "delete", self.name], check=False, capture_output=True)

    def ip(self, *arguments: str) -> None:
        """Raises AssertionError with what `ip` said."""
        ip("-n", self.name, *arguments)

    def inside(
        self,
        arguments: Sequence[str | Path],
        *,
        uid: int = ROOT,
        capabilities: Sequence[str] | None = None,
    ) -> list[str]:
        """The command that runs `arguments` here, as `uid`; with `capabilities` (such as
        "net_admin") only, or all of root's when None, and those of a user's program: none.
        """
        some = [] if capabilities is None else list(capabilities)
        privileges = [] if uid == ROOT else [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        if capabilities is not None:
            text = ",".join(["-all", *(f"+{name}" for name in some)])
            ambient = [] if uid == ROOT else [f"--ambient-caps={text}"]
            privileges += [f"--bounding-set={text}", f"--inh-caps={text}", *ambient]
        before = ["setpriv", *privileges] if privileges else []
        return ["ip", "netns", "exec", self.name, *before, *map(str, arguments)]

    def run(
        self,
        *arguments: str | Path,
        uid: int = ROOT,
        capabilities: Sequence[str] | None = None,
        stdin: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """A program that ended, whatever its code."""
        return subprocess.run(
            self.inside(arguments, uid=uid, capabilities=capabilities),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )

    def says(self, *arguments: str | Path, uid: int = ROOT) -> str:
        """Standard output of a program that ended well; AssertionError with what it said if not."""
        done = self.run(*arguments, uid=uid)
        assert done.returncode == 0, f"{arguments}: {done.returncode} {done.stderr}{done.stdout}"
        return done.stdout

    def thread(self, work: Callable[[], None], *, uid: int = ROOT) -> threading.Thread:
        """Started, in this network, as `uid` where the kernel asks whose a socket is."""

        def entered() -> None:
            enter(self.file)
            become(uid)
            work()

        thread = threading.Thread(target=entered, name=f"{self.name}-{uid}", daemon=True)
        thread.start()
        return thread

    def within(self, work: Callable[[], T], *, uid: int = ROOT) -> T:
        """What `work` gives or raises, done in this network as `uid`."""
        given: list[T] = []
        raised: list[BaseException] = []

        def noted() -> None:
            try:
                given.append(work())
            except BaseException as error:  # Raised where it was asked for.
                raised.append(error)

        thread = self.thread(noted, uid=uid)
        thread.join(LIMIT_S)
        assert not thread.is_alive(), f"still at work in {self.name}"
        if raised:
            raise raised[0]
        return given[0]


@contextmanager
def namespaces(*roles: str) -> Iterator[tuple[Namespace, ...]]:
    """One for each role, taken away at the end with all that is plugged into them."""
    with ExitStack() as ended:
        made = tuple(Namespace(role) for role in roles)
        for namespace in made:
            ended.callback(namespace.remove)
            namespace.make()
        yield made


def cable(one: Namespace, other: Namespace, number: int) -> None:
    """Joins both by devices `eth<number>`, which have `v4(number, 1)` and `v6(number, 1)` at `one`,
    and side 2 at `other`; each knows the other at once.
    """
    device = f"eth{number}"
    one.ip(
        "link", "add", "name", device, "type", "veth",
        "peer", "name", device, "netns", other.name,
    )  # fmt: skip
    for namespace, side in ((one, 1), (other, 2)):
        namespace.ip("address", "add", f"{v4(number, side)}/24", "dev", device)
        # Without duplicate detection: until it ends, a second and more, an address cannot be used.
        namespace.ip("address", "add", f"{v6(number, side)}/64", "dev", device, "nodad")
        namespace.ip("link", "set", "dev", device, "up")


def v4(number: int, side: int) -> str:
    return f"198.18.{number}.{side}"  # of the range for measurements


def v6(number: int, side: int) -> str:
    return f"fd00:198:{number}::{side}"


def ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr.strip()}"


def enter(namespace: Path) -> None:
    """This thread is in the network from here on."""
    fd = os.open(namespace, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns", str(namespace))
    finally:
        os.close(fd)


def become(uid: int) -> None:
    """Sockets that this thread makes from here on are the user's, as netfilter sees it. The ids by
    which the kernel asks for files are a thread's own, unlike those of `os.setuid`.
    """
    libc = ctypes.CDLL(None)
    libc.setfsuid(uid)
    assert libc.setfsuid(-1) == uid, f"cannot become {uid}"
