"""MeshTLS: whether inbounds insist on mTLS, and which versions and ciphers of TLS are spoken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.part import Part, not_allowed
from reconciler.policies.document import check_sections, top_kind
from reconciler.policies.policy import PolicyRules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

_VERSIONS = ("TLS10", "TLS11", "TLS12", "TLS13")  # ascending; TLSAuto is any


def check(spec: Mapping[str, object], at: At) -> Faults:
    yield from check_sections(POLICY, spec, at)
    for section in ("from", "rules"):
        for item in Part(spec, (), at)[section].items():
            yield from _conf(item["default"], for_mesh=top_kind(spec) == "Mesh")


def _conf(conf: Part, *, for_mesh: bool) -> Faults:
    version = conf["tlsVersion"]
    if not for_mesh:
        # Clients learn of them from the mesh alone.
        for part in (version, conf["tlsCiphers"]):
            if part.value not in (None, [], ()):
                yield from not_allowed(part, "it holds for a whole mesh (targetRef kind Mesh)")
        return
    low, high = version["min"].text, version["max"].text
    if low in _VERSIONS and high in _VERSIONS and _VERSIONS.index(low) > _VERSIONS.index(high):
        text = f"min {low} is above max {high}; lower min or raise max"
        yield version["min"].fault("VAL003", text)


POLICY = PolicyRules(
    kind="MeshTLS",
    slug="mesh_tls",
    check=check,
    top_kinds=("Mesh", "MeshSubset", "Dataplane"),
    from_kinds=("Mesh",),
    has_rules=True,
    has_matches=False,
    needs_list=False,
    rules_exclude=("from",),
)
