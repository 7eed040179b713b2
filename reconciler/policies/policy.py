"""What a policy kind is: how its documents are decoded, checked and merged.

One policy is one module, `reconciler/policies/<slug>.py`, which owns the kind's conf type and ends
in a `POLICY` value of this type; the tuple in `reconciler/policies/__init__.py` lists them. What a
conf does to Envoy's messages stands beside it in `<slug>_hooks.py`, listed in `hooks.py`: only
those modules may import envoy-data-plane, so that `reconciler validate` starts without it.

To add a policy: copy a pair of modules, add it to both tuples, add a schema and golden cases.
Matching is never written again: `reconciler.match` is one function for every kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reconciler.problems import Path as Path
from reconciler.problems import Position, Problem

if TYPE_CHECKING:
    from reconciler.model.spec import PolicySpec

At = Callable[[Path], Position]  # place of the deepest part of the path that the document has

SERVICE_KINDS = ("MeshService", "MeshExternalService", "MeshMultiZoneService")
GATEWAY, ROUTE = "MeshGateway", "MeshHTTPRoute"
GATEWAY_OR_ROUTE_TO = dict.fromkeys((GATEWAY, ROUTE), ("Mesh", "MeshExternalService"))
PROXY_KINDS = ("Mesh", "Dataplane", "MeshSubset", "MeshService", "MeshServiceSubset")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRules:
    """What the documents of one targetRef policy kind may say.

    `check` yields every violation of the rules a schema cannot say, and tolerates documents that
    the schema has already refused. `narrow_to_kinds`: what `to` may name where the policy is for a
    gateway or a route. `system_kinds`: those of `top_kinds` that only policies of the role `system`
    may have, which is every policy's unless a label says otherwise. `needs_list`: Kuma refuses it
    without any of its lists. `closed`: which lists a policy for this targetRef may not have, and
    why; Kuma does not look into them.
    """

    kind: str
    slug: str
    check: Callable[[Mapping[str, object], At], Iterator[Problem]]
    top_kinds: tuple[str, ...] = PROXY_KINDS
    system_kinds: tuple[str, ...] = ()
    to_kinds: tuple[str, ...] = ()
    narrow_to_kinds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    from_kinds: tuple[str, ...] = ()
    has_rules: bool = False
    needs_list: bool = True
    rules_exclude: tuple[str, ...] = ("to", "from")
    has_matches: bool = True  # in rules
    empty_match_allowed: bool = True
    gateway_tags: bool = True
    closed: Callable[[Mapping[str, object]], Mapping[str, str]] = lambda _: {}

    @property
    def lists(self) -> tuple[str, ...]:
        uses = {"to": self.to_kinds, "from": self.from_kinds, "rules": self.has_rules}
        return tuple(name for name, use in uses.items() if use)

    def to_kinds_for(self, top_kind: str) -> tuple[str, ...]:
        return self.narrow_to_kinds.get(top_kind, self.to_kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyType(PolicyRules):
    """A policy kind that this control plane computes with.

    `decode` takes the plain JSON of `spec`, already valid against the kind's schema, and raises
    `DecodeError` for what it cannot read. `merge(weak, strong)` lays a conf over a less specific
    one of the same list (`to`, `from` or `rules`).
    """

    decode: Callable[[Mapping[str, object]], PolicySpec]
    merge: Callable[[Any, Any], Any]
