"""Rules in the language of `nft`: one table of our own per family, replaced in one transaction.

Tables of `ip` and `ip6` rather than one of `inet`, which redirects only from kernel 5.2 on; numbers
rather than names of priorities, which older programs do not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from reconciler.capture.rules import Drop, Family, Hook, Leave, Redirect, Zone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reconciler.capture.rules import Chain, Rule, Verdict
    from reconciler.capture.settings import Span

TABLE = "mesh_reconciler"
WORDS = {Family.IPV4: "ip", Family.IPV6: "ip6"}
HOOKS = {
    Hook.NAT_ARRIVING: "type nat hook prerouting",
    Hook.NAT_SENT: "type nat hook output",
    Hook.RAW_ARRIVING: "type filter hook prerouting",
    Hook.RAW_SENT: "type filter hook output",
    Hook.MANGLE_ARRIVING: "type filter hook prerouting",
}
# Before conntrack (-200), between it and NAT, and around NAT's place for destinations (-100), where
# the rules of iptables are.
PRIORITIES = {"raw": -300, "mangle": -150}
NAT_BEFORE, NAT_AFTER = -101, -99


def ours(listing: str) -> tuple[Family, ...]:
    """The families in which a table of ours is, of the answer to `nft list tables`."""
    lines = listing.splitlines()
    return tuple(f for f in Family if f"table {WORDS[f]} {TABLE}" in lines)


def replacing(chains: Mapping[Family, Sequence[Chain]], present: Sequence[Family] = ()) -> str:
    """The script after which these are our chains and there are no others of ours. `present`: in
    which families there may be some that get none now.
    """
    lines: list[str] = []
    for family in Family:
        if family in chains or family in present:
            lines += _without(family)
    for family, some in chains.items():
        lines += [f"table {WORDS[family]} {TABLE} {{"]
        for chain in some:
            lines += [f"  chain {chain.name} {{", f"    {_hook(chain)}"]
            lines += [f"    {_rule(rule, WORDS[family])}" for rule in chain.rules]
            lines += ["  }"]
        lines += ["}"]
    return "\n".join(lines) + "\n"


def removing(present: Sequence[Family]) -> str:
    return "".join(f"delete table {WORDS[family]} {TABLE}\n" for family in present)


def _without(family: Family) -> list[str]:
    """Added first: what is not there cannot be deleted."""
    table = f"table {WORDS[family]} {TABLE}"
    return [f"add {table}", f"delete {table}"]


def _hook(chain: Chain) -> str:
    priority = PRIORITIES.get(chain.hook.value[0], NAT_BEFORE if chain.first else NAT_AFTER)
    return f"{HOOKS[chain.hook]} priority {priority}; policy accept;"


def _rule(rule: Rule, word: str) -> str:
    return " ".join([*_conditions(rule, word), _verdict(rule.verdict), f'comment "{rule.why}"'])


def _conditions(rule: Rule, word: str) -> Iterator[str]:
    if rule.arrives_by:
        yield f"iifname {_interface(rule.arrives_by)}"
    if rule.leaves_by:
        yield f"oifname {_interface(rule.leaves_by)}"
    if rule.source is not None:
        yield f"{word} saddr {rule.source}"
    if rule.destination is not None:
        yield f"{word} daddr {rule.destination}"
    if rule.elsewhere is not None:
        yield f"{word} daddr != {rule.elsewhere}"
    if rule.users is not None:
        yield f"meta skuid {_span(rule.users)}"
    if rule.to_this_host:
        yield "fib daddr type local"
    if rule.invalid:
        yield "ct state invalid"
    if rule.protocol is not None and rule.ports is None and rule.source_port is None:
        yield f"meta l4proto {rule.protocol}"
    if rule.source_port is not None:
        yield f"{rule.protocol} sport {rule.source_port}"
    if rule.ports is not None:
        yield f"{rule.protocol} dport {_span(rule.ports)}"


def _verdict(verdict: Verdict) -> str:
    match verdict:
        case Leave():
            return "return"
        case Redirect(port):
            return f"redirect to :{port}"
        case Zone(number):
            return f"ct zone set {number}"
        case Drop():
            return "drop"
        case _:
            assert_never(verdict)


def _span(span: Span) -> str:
    return str(span.first) if span.first == span.last else f"{span.first}-{span.last}"


def _interface(name: str) -> str:
    return f'"{name[:-1]}*"' if name.endswith("+") else f'"{name}"'
