"""Policies that are looked at and not enforced: those labelled `kuma.io/effect: shadow`. Pure.

They are checked, stored and sent to zones as any policy, and no proxy is made with them (`match`).
`render`, `plan` and the inspect API show what one would do, by computing with `in_force`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.kinds import KINDS
from reconciler.model.resource import EFFECT, Labels, MeshResource
from reconciler.problems import Position, Problem, Severity
from xds.copying import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.source.document import Declared

SHADOW = "shadow"


def is_shadow(resource: MeshResource) -> bool:
    """The label means something on targetRef policies alone, and so does no other value of it."""
    return resource.labels.get(EFFECT) == SHADOW and KINDS[resource.key.type].policy


def in_force(resources: Iterable[MeshResource]) -> tuple[MeshResource, ...]:
    """The resources as if the shadow policies among them were none."""
    return tuple(_plain(r) if is_shadow(r) else r for r in resources)


def _plain(policy: MeshResource) -> MeshResource:
    return replace(policy, labels=Labels(tuple(p for p in policy.labels.pairs if p[0] != EFFECT)))


def effect_warnings(found: Declared) -> Iterator[Problem]:
    """What the label says and does not do: whoever wrote it expects a policy not to be in force."""
    value = found.labels.get(EFFECT)
    if value is None:
        return
    if not found.kind.policy:
        text = f"{EFFECT} is for targetRef policies; this {found.kind.name} is in force, remove it"
        yield Problem(_at(found), "SHD002", text, Severity.WARNING)
    elif value != SHADOW:
        text = f'{EFFECT} "{value[:60]}" means nothing, the policy is in force; write "{SHADOW}"'
        yield Problem(_at(found), "SHD001", f"{text} or remove it", Severity.WARNING)


def _at(found: Declared) -> Position:
    return found.top(("metadata", "labels", EFFECT) if found.kubernetes else ("labels", EFFECT))
