"""The programs that change the kernel's rules, each as one value: could it do this (`trouble`), do
it (`apply`), what of ours is there (`held`), take it away (`remove`). Shell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from reconciler.capture import iptables, nftables
from reconciler.capture.host import (
    Done,
    Failed,
    TookTooLong,
    call,
    find,
    lacking,
    unwritable_lock,
)
from reconciler.capture.rules import SOURCE_IS_OURS, Family

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from reconciler.capture.rules import Chain

Chains = dict[Family, "tuple[Chain, ...]"]
NFTABLES, IPTABLES_NFT, IPTABLES_LEGACY = "nftables", "iptables-nft", "iptables-legacy"
NAMES = (NFTABLES, IPTABLES_NFT, IPTABLES_LEGACY)  # in the order in which they are tried
LOCK_WAIT_S = 5
LOCKED = 4  # exit code of the iptables programs when another one holds the lock
COMMANDS = {Family.IPV4: "iptables", Family.IPV6: "ip6tables"}


@dataclass(frozen=True, slots=True)
class Held:
    """What of ours is in the kernel."""

    families: tuple[Family, ...] = ()
    source_is_ours: bool = False


class Backend(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def capabilities(self) -> tuple[str, ...]: ...
    def obstacle(self) -> str | None:
        """Why it cannot be used by this process at all, with the cure."""

    def trouble(self, chains: Mapping[Family, Sequence[Chain]]) -> str | None:
        """What the kernel has against these; asked without changing anything."""

    def apply(self, chains: Mapping[Family, Sequence[Chain]]) -> None:
        """They take the place of all that is ours here. Raises Failed; then nothing of ours is."""

    def held(self) -> Held: ...
    def remove(self) -> None: ...


def backend(name: str, timeout_s: float) -> Backend:
    if name == NFTABLES:
        return Nftables(find("nft"), timeout_s)
    legacy = name == IPTABLES_LEGACY
    programs = {family: _programs(family, legacy, timeout_s) for family in Family}
    return Iptables(name, {f: p for f, p in programs.items() if p is not None}, timeout_s)


def lacks(backend: Backend) -> str | None:
    """The capabilities that this process would need, with the cure."""
    missing = lacking(backend.capabilities)
    if not missing:
        return None
    names = ", ".join(missing)
    plural = "capabilities" if len(missing) > 1 else "capability"
    dockers = " ".join(f"--cap-add {name}" for name in missing)
    ambient = " ".join(f"CAP_{name}" for name in missing)
    return (
        f"{backend.name} needs the {plural} {names}, which this process has not: run it as root, "
        f"or give it {names} (Kubernetes: securityContext.capabilities.add: [{names}]; Docker: "
        f"{dockers}; systemd: AmbientCapabilities={ambient})"
    )


# --- nftables ---


@dataclass(frozen=True, slots=True)
class Nftables:
    program: str | None
    timeout_s: float
    name: str = NFTABLES
    capabilities: tuple[str, ...] = ("NET_ADMIN",)

    def obstacle(self) -> str | None:
        missing = lacks(self)
        if missing is None and self.program is None:
            return "the program nft is not here; install the package nftables"
        return missing

    def trouble(self, chains: Mapping[Family, Sequence[Chain]]) -> str | None:
        done = self._nft(["-c", "-f", "-"], nftables.replacing(chains))
        return None if done.code == 0 else f"nft: {_why(done)}"

    def apply(self, chains: Mapping[Family, Sequence[Chain]]) -> None:
        done = self._nft(["-f", "-"], nftables.replacing(chains, self.held().families))
        if done.code != 0:
            raise Failed(f"nft: {_why(done)}; the rules are as they were before")

    def held(self) -> Held:
        if self.program is None:
            return Held()
        listed = self._nft(["list", "tables"])
        if listed.code != 0:
            raise Failed(f"nft: {_why(listed)}")
        families = nftables.ours(listed.output)
        texts = [
            self._nft(["list", "table", nftables.WORDS[family], nftables.TABLE]).output
            for family in families
        ]
        return Held(families, any(SOURCE_IS_OURS in text for text in texts))

    def remove(self) -> None:
        done = self._nft(["-f", "-"], nftables.removing(self.held().families))
        if done.code != 0:
            raise Failed(f"nft: {_why(done)}; the rules are as they were before")

    def _nft(self, arguments: list[str], stdin: str = "") -> Done:
        assert self.program is not None
        return call([self.program, *arguments], self.timeout_s, stdin)


def chains_seen_by_nft(timeout_s: float) -> bool:
    """Whether iptables-nft has chains of ours: nft sees them in tables that are not for it."""
    program = find("nft")
    if program is None:
        return False
    return iptables.PREFIX in call([program, "list", "chains"], timeout_s).output


# --- iptables ---


@dataclass(frozen=True, slots=True)
class Programs:
    """Of one family."""

    save: str
    restore: str


@dataclass(frozen=True, slots=True)
class Iptables:
    """Either variant; `programs` has no family whose programs are not here."""

    name: str
    programs: Mapping[Family, Programs]
    timeout_s: float

    @property
    def capabilities(self) -> tuple[str, ...]:
        return ("NET_ADMIN", "NET_RAW") if self._legacy else ("NET_ADMIN",)

    @property
    def _legacy(self) -> bool:
        return self.name == IPTABLES_LEGACY

    def obstacle(self) -> str | None:
        missing = lacks(self)
        if missing is not None:
            return missing
        if Family.IPV4 not in self.programs:
            return f"the programs of {self.name} are not here; install the package iptables"
        lock = unwritable_lock() if self._legacy else None
        if lock is None:
            return None
        return (
            f"{self.name} locks {lock}, which this user may not write: run it as root, or set "
            "XTABLES_LOCKFILE to a file that it may write"
        )

    def trouble(self, chains: Mapping[Family, Sequence[Chain]]) -> str | None:
        for family, some in chains.items():
            if family not in self.programs:
                return f"the programs {COMMANDS[family]}-restore and -save are not here"
            done = self._restore(family, iptables.replacing(some, self._ours(family)), "--test")
            if done.code != 0:
                return f"{COMMANDS[family]}-restore: {_why(done)}"
        return None

    def apply(self, chains: Mapping[Family, Sequence[Chain]]) -> None:
        try:
            for family in self.programs:
                script = iptables.replacing(chains.get(family, ()), self._ours(family))
                self._change(family, script)
        except (Failed, TookTooLong) as error:
            self.remove()
            raise type(error)(f"{error}; nothing of ours is left in the tables") from error

    def held(self) -> Held:
        found = {family: self._saved(family) for family in self.programs}
        return Held(
            tuple(family for family, text in found.items() if iptables.ours(text)),
            any(SOURCE_IS_OURS in text for text in found.values()),
        )

    def remove(self) -> None:
        for family in self.programs:
            self._change(family, iptables.removing(self._ours(family)))

    def _change(self, family: Family, script: str) -> None:
        if not script:
            return
        done = self._restore(family, script)
        if done.code != 0:
            raise Failed(f"{COMMANDS[family]}-restore: {_why(done)}")

    def _restore(self, family: Family, script: str, *more: str) -> Done:
        wait = ["--wait", str(LOCK_WAIT_S)] if self._legacy else []  # the other one has no lock
        argv = [self.programs[family].restore, "--noflush", *wait, *more]
        done = call(argv, self.timeout_s, script)
        if done.code == LOCKED and "lock" in done.error:
            raise TookTooLong(f"{COMMANDS[family]}-restore: {done.said}")
        return done

    def _ours(self, family: Family) -> dict[str, iptables.Ours]:
        return iptables.ours(self._saved(family))

    def _saved(self, family: Family) -> str:
        done = call([self.programs[family].save], self.timeout_s)
        if done.code != 0:
            raise Failed(f"{COMMANDS[family]}-save: {_why(done)}")
        return done.output


def _programs(family: Family, legacy: bool, timeout_s: float) -> Programs | None:
    """Those that say they are of this variant: what `iptables` means differs by machine."""
    command, variant = COMMANDS[family], "legacy" if legacy else "nft"
    fits = lambda path: _is_legacy(path, timeout_s) is legacy  # noqa: E731
    save = _fitting(fits, f"{command}-{variant}-save", f"{command}-save")
    restore = _fitting(fits, f"{command}-{variant}-restore", f"{command}-restore")
    return None if save is None or restore is None else Programs(save, restore)


def _fitting(fits: Callable[[str], bool], *names: str) -> str | None:
    found = (find(name) for name in names)
    return next((path for path in found if path is not None and fits(path)), None)


def _is_legacy(path: str, timeout_s: float) -> bool:
    """Programs before there were two say neither."""
    return "nf_tables" not in call([path, "--version"], timeout_s).output


def _why(done: Done) -> str:
    """What the program said; with its usual reason when the kernel refuses who has the right."""
    denied = ("not permitted", "must be root", "Permission denied")
    if any(word in done.error for word in denied) and not lacking(("NET_ADMIN",)):
        return (
            f"{done.said}: this process has the capabilities, but not over this network, which "
            "belongs to another user namespace; run it where the network was made"
        )
    return done.said
