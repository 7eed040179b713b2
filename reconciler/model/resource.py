"""A mesh resource (KDS-level object): key, labels, typed spec, canonical JSON that travels."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.spec import Spec

DISPLAY_NAME = "kuma.io/display-name"
EFFECT = "kuma.io/effect"
ENV = "kuma.io/env"
MESH = "kuma.io/mesh"
NAMESPACE = "k8s.kuma.io/namespace"
ORIGIN = "kuma.io/origin"
PROTOCOL = "kuma.io/protocol"
PROXY_TYPE = "kuma.io/proxy-type"
ROLE = "kuma.io/policy-role"
SERVICE = "kuma.io/service"
ZONE = "kuma.io/zone"


@dataclass(frozen=True, slots=True, order=True)
class ResourceKey:
    """Identity of a mesh resource. `mesh` is "" for global-scoped types."""

    type: str  # Kuma's kind, verbatim: "MeshTimeout"
    mesh: str
    name: str

    def __str__(self) -> str:
        return f"{self.type} {self.mesh}/{self.name}" if self.mesh else f"{self.type} {self.name}"


@dataclass(frozen=True, slots=True)
class Labels:
    """Sorted (key, value) pairs; hashable."""

    pairs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Labels:
        return cls(tuple(sorted(labels.items())))

    def get(self, key: str) -> str | None:
        for name, value in self.pairs:  # some ten times a policy: a generator takes twice as long
            if name == key:
                return value
        return None

    def items(self) -> tuple[tuple[str, str], ...]:
        return self.pairs

    def contain(self, wanted: Labels) -> bool:
        return set(wanted.pairs) <= set(self.pairs)

    def without(self, key: str) -> Labels:
        """The same object where there is no such label."""
        pairs = tuple(pair for pair in self.pairs if pair[0] != key)
        return self if pairs == self.pairs else Labels(pairs)

    def with_labels(self, extra: Mapping[str, str]) -> Labels:
        return Labels.of({**dict(self.pairs), **extra})


@dataclass(frozen=True, slots=True)
class MeshResource:
    """One resource. Equality is (key, labels, body, status): a comment or the place in a file has
    no part.

    `body` is canonical JSON text of the spec (keys sorted, no spaces): what KDS carries for plugin
    types and what legacy protobuf is made from. `spec` is decoded from it, so equal bodies mean
    equal specs. `status` is canonical JSON, too: what the zone that owns the resource says of it.
    With an InsightSpec, `body` is "": the insight is the spec's message.
    """

    key: ResourceKey
    labels: Labels
    body: str = field(repr=False)  # of a Secret it is one
    spec: Spec = field(repr=False)
    status: str | None = None

    @property
    def display_name(self) -> str:
        return self.labels.get(DISPLAY_NAME) or self.key.name


def canonical_json(value: object) -> str:
    """Deterministic JSON text; used for digests, comparison and the wire."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
