"""Install and uninstall: in which order this machine is asked and changed. Shell.

Nothing is changed before everything is known to fit. What is left of an earlier install, whole or
interrupted, by whichever backend, is replaced: the kernel's tables are the only record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.capture import host
from reconciler.capture.backends import (
    IPTABLES_LEGACY,
    IPTABLES_NFT,
    NAMES,
    NFTABLES,
    Held,
    backend,
    chains_seen_by_nft,
)
from reconciler.capture.host import Failed, Refused, TookTooLong
from reconciler.capture.rules import LOOPBACK, Family, chains_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.capture.backends import Backend, Chains
    from reconciler.capture.settings import Settings

AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Of both commands. `families`: those wanted, where this machine has them."""

    backend: str
    families: tuple[Family, ...]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Report:
    """What was done. `replaced`: backends from which an earlier installation went."""

    backend: str
    families: tuple[Family, ...]
    replaced: tuple[str, ...]
    notes: tuple[str, ...]


def install(settings: Settings, options: Options) -> Report:
    """Raises Refused, Failed or TookTooLong."""
    families, notes = _families(options.families)
    chosen, families, more = _choose(settings, options, families)
    others, held, unseen = _earlier(chosen, options)
    ours_before = any(was.source_is_ours for was in held.values())
    missing = tuple(family for family in families if not host.has_source(family))
    if ours_before and Family.IPV6 not in families:
        _remove_source()  # Its rules, which say whose it is, are about to go.
    try:
        chosen.apply(_chains(settings, families, ours_before or bool(missing)))
    except (Failed, TookTooLong):
        if ours_before and not any(one.held().source_is_ours for one in (chosen, *others)):
            _remove_source()
        raise
    try:
        # After the rules, whose comment says that it is ours: an interruption leaves no stranger.
        for family in missing:
            host.add_source(family)
    except Failed as error:
        chosen.remove()
        cure = f"switch IPv6 on for {LOOPBACK}, or say --ip-family-mode ipv4"
        raise Failed(f"{error}; the rules were taken away again; {cure}") from error
    for other in others:
        if held[other.name].families:
            other.remove()
    replaced = tuple(name for name, was in held.items() if was.families)
    return Report(chosen.name, families, replaced, (*notes, *more, *unseen))


def uninstall(options: Options) -> Report:
    """Raises Refused, Failed or TookTooLong; that nothing was there is fine."""
    names = NAMES if options.backend == AUTO else (options.backend,)
    usable, notes = _usable(names, options)
    if not usable:
        raise Refused(_obstacles(names, options))
    notes = (*notes, *_unseen(names, usable, options))
    removed: list[str] = []
    families: list[Family] = []
    for one in usable:
        held = one.held()
        if not held.families:
            continue
        if held.source_is_ours:
            _remove_source()  # Before the rules, which say whose it is.
        one.remove()
        removed.append(one.name)
        families += held.families
    found = tuple(family for family in Family if family in families)
    return Report(", ".join(removed), found, tuple(removed), notes)


def _remove_source() -> None:
    if host.has_source(Family.IPV6):
        host.remove_source(Family.IPV6)


def _families(wanted: tuple[Family, ...]) -> tuple[tuple[Family, ...], tuple[str, ...]]:
    here = host.families_here()
    found = tuple(family for family in wanted if family in here)
    if found == wanted:
        return found, ()
    return found, ("IPv6 is off in this network, so only IPv4 is captured",)


def _choose(
    settings: Settings, options: Options, families: tuple[Family, ...]
) -> tuple[Backend, tuple[Family, ...], tuple[str, ...]]:
    """The first backend that can, with the families that it can do."""
    names = NAMES if options.backend == AUTO else (options.backend,)
    troubles: list[str] = []
    for name in names:
        one = backend(name, options.timeout_s)
        trouble = one.obstacle()
        if trouble is None:
            trouble = one.trouble(_chains(settings, families, True))
            if trouble is None:
                return one, families, _instead(name, troubles)
            # A kernel may have everything for IPv4 alone.
            if len(families) > 1 and one.trouble(_chains(settings, families[:1], True)) is None:
                note = f"IPv6 is not captured, for this machine cannot redirect it: {trouble}"
                return one, families[:1], (*_instead(name, troubles), note)
        troubles.append(f"{name}: {trouble}")
    if len(troubles) == 1 or host.lacking(("NET_ADMIN",)):
        raise Refused(troubles[0].partition(": ")[2])
    raise Refused("no backend can be used here:\n  " + "\n  ".join(troubles))


def _instead(name: str, troubles: Sequence[str]) -> tuple[str, ...]:
    return (f"{name} is used, for {troubles[0]}",) if troubles else ()


def _earlier(
    chosen: Backend, options: Options
) -> tuple[list[Backend], dict[str, Held], tuple[str, ...]]:
    """The backends besides the chosen one, what each of all holds, and what could not be seen."""
    others, unseen = _usable(tuple(name for name in NAMES if name != chosen.name), options)
    held = {one.name: one.held() for one in (chosen, *others)}
    return others, held, unseen


def _usable(names: Sequence[str], options: Options) -> tuple[list[Backend], tuple[str, ...]]:
    """Those whose rules can be looked at, and what is told about others that may hold some."""
    usable: list[Backend] = []
    troubles: list[str] = []
    for name in names:
        one = backend(name, options.timeout_s)
        trouble = one.obstacle()
        if trouble is None:
            usable.append(one)
        elif name == IPTABLES_LEGACY and any(
            host.legacy_tables(family) is not False for family in Family
        ):
            troubles.append(f"what {name} holds could not be seen: {trouble}")
    return usable, tuple(troubles)


def _unseen(names: Sequence[str], usable: Sequence[Backend], options: Options) -> tuple[str, ...]:
    """What may be there, where the programs for it are not."""
    seen = {one.name for one in usable}
    notes: list[str] = []
    if NFTABLES in names and NFTABLES not in seen:
        trouble = backend(NFTABLES, options.timeout_s).obstacle()
        notes.append(f"what {NFTABLES} holds could not be seen: {trouble}")
    blind = IPTABLES_NFT in names and IPTABLES_NFT not in seen and NFTABLES in seen
    if blind and chains_seen_by_nft(options.timeout_s):
        trouble = backend(IPTABLES_NFT, options.timeout_s).obstacle()
        notes.append(f"what {IPTABLES_NFT} made is still there: {trouble}")
    return tuple(notes)


def _obstacles(names: Sequence[str], options: Options) -> str:
    """Why none can be used; once, if it is the same for all."""
    told = [f"{name}: {backend(name, options.timeout_s).obstacle()}" for name in names]
    if len(told) == 1 or host.lacking(("NET_ADMIN",)):
        return told[0].partition(": ")[2]
    return "no backend can be used here:\n  " + "\n  ".join(told)


def _chains(settings: Settings, families: tuple[Family, ...], source_is_ours: bool) -> Chains:
    return {
        family: chains_of(settings, family, source_is_ours=source_is_ours and family is Family.IPV6)
        for family in families
    }
