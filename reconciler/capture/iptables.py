"""Rules in the language of `iptables-restore`: chains of our own, and one jump into each from a
built-in chain, replaced in one transaction per table. What is ours is known by the chains' names.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, assert_never

from reconciler.capture.rules import Drop, Leave, Redirect, Zone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from reconciler.capture.rules import Chain, Rule, Verdict
    from reconciler.capture.settings import Span

PREFIX = "MESH_RECONCILER_"  # a name has 28 characters at most
COMMENT = "mesh-reconciler: "
TABLES = ("raw", "mangle", "nat")  # nat last: until it is there, nothing is redirected


@dataclass(frozen=True, slots=True)
class Ours:
    """Of one table: our chains, and the rules by which others' chains lead into them, as
    `iptables-save` writes both.
    """

    chains: tuple[str, ...] = ()
    jumps: tuple[str, ...] = ()


def ours(saved: str) -> dict[str, Ours]:
    """By table, of the answer of `iptables-save`; tables that hold nothing of ours are left out."""
    found: dict[str, Ours] = {}
    table = ""
    for line in saved.splitlines():
        words = line.split()
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(f":{PREFIX}"):
            seen = found.get(table, Ours())
            found[table] = Ours((*seen.chains, words[0][1:]), seen.jumps)
        elif line.startswith("-A ") and not words[1].startswith(PREFIX) and _leads_to_us(line):
            seen = found.get(table, Ours())
            found[table] = Ours(seen.chains, (*seen.jumps, line))
    return found


def replacing(chains: Sequence[Chain], present: Mapping[str, Ours]) -> str:
    """The input of `iptables-restore --noflush` after which these are our chains and there are no
    others of ours; `present` is what is there now.
    """
    lines: list[str] = []
    for table in TABLES:
        some = [chain for chain in chains if chain.hook.value[0] == table]
        lines += _table(table, some, present.get(table, Ours()))
    return "".join(f"{line}\n" for line in lines)


def removing(present: Mapping[str, Ours]) -> str:
    return replacing((), present)


def _table(table: str, chains: Sequence[Chain], present: Ours) -> list[str]:
    if not chains and present == Ours():
        return []
    names = [_name(chain) for chain in chains]
    stale = [name for name in present.chains if name not in names]
    lines = [f"*{table}", *(f":{name} - [0:0]" for name in names)]  # empties those that are there
    lines += [f"-D {jump.removeprefix('-A ')}" for jump in present.jumps]
    lines += [f"-F {name}" for name in stale]
    lines += [f"-X {name}" for name in stale]
    for chain in chains:
        lines += [f"-A {_name(chain)} {' '.join(_words(rule))}" for rule in chain.rules]
    # Each at the head: the last one written is the first asked, so from the last to the first.
    lines += [_jump(chain) for chain in reversed(chains) if chain.first]
    lines += [_jump(chain) for chain in chains if not chain.first]
    return [*lines, "COMMIT"]


def _jump(chain: Chain) -> str:
    builtin = chain.hook.value[1]
    place = f"-I {builtin} 1" if chain.first else f"-A {builtin}"
    protocol = "" if chain.protocol is None else f" -p {chain.protocol}"
    return f'{place}{protocol} -m comment --comment "{COMMENT}{chain.name}" -j {_name(chain)}'


def _name(chain: Chain) -> str:
    return PREFIX + chain.name.upper()


def _leads_to_us(line: str) -> bool:
    words = shlex.split(line)  # A comment is one word.
    targets = [word for before, word in pairwise(words) if before in {"-j", "-g"}]
    return bool(targets) and targets[-1].startswith(PREFIX)


def _words(rule: Rule) -> Iterator[str]:
    if rule.source is not None:
        yield f"-s {rule.source}"
    if rule.destination is not None:
        yield f"-d {rule.destination}"
    if rule.elsewhere is not None:
        yield f"! -d {rule.elsewhere}"
    if rule.arrives_by:
        yield f"-i {rule.arrives_by}"
    if rule.leaves_by:
        yield f"-o {rule.leaves_by}"
    if rule.protocol is not None:
        yield f"-p {rule.protocol}"
    if rule.source_port is not None:
        yield f"--sport {rule.source_port}"
    if rule.ports is not None:
        yield f"--dport {_span(rule.ports, ':')}"
    if rule.users is not None:
        yield f"-m owner --uid-owner {_span(rule.users, '-')}"
    if rule.to_this_host:
        yield "-m addrtype --dst-type LOCAL"
    if rule.invalid:
        yield "-m conntrack --ctstate INVALID"
    yield f'-m comment --comment "{rule.why}"'
    yield f"-j {_target(rule.verdict)}"


def _target(verdict: Verdict) -> str:
    match verdict:
        case Leave():
            return "RETURN"
        case Redirect(port):
            return f"REDIRECT --to-ports {port}"
        case Zone(number):
            return f"CT --zone {number}"
        case Drop():
            return "DROP"
        case _:
            assert_never(verdict)


def _span(span: Span, between: str) -> str:
    return str(span.first) if span.first == span.last else f"{span.first}{between}{span.last}"
