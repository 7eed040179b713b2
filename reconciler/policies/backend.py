"""Where routes of any protocol lead: the rules that MeshHTTPRoute and MeshTCPRoute share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.policies.document import check_target

if TYPE_CHECKING:
    from reconciler.part import Faults, Part

BACKEND_KINDS = ("MeshService", "MeshServiceSubset", "MeshExternalService", "MeshMultiZoneService")
WEIGHTS_MAX = 0xFFFFFFFF  # of all backends of a rule together
_UNRESOLVED = "kuma.io/unresolved-backend"  # for a backend that a Gateway API route names in vain


def check_backends(refs: Part, *, unresolved_allowed: bool = False) -> Faults:
    """The backends of one rule."""
    odd = (_UNRESOLVED,) if unresolved_allowed else ()
    for ref in refs.items():
        yield from check_target(ref.fields, BACKEND_KINDS, ref.path, ref.at, odd_names=odd)
        if ref["kind"].value == "MeshMultiZoneService" and not ref["port"]:
            yield ref["port"].fault("VAL001", "port is missing; a MeshMultiZoneService needs one")
    weights = [weight_of(ref) for ref in refs.items()]
    if sum(weights) > WEIGHTS_MAX:
        text = f"the weights add up to over {WEIGHTS_MAX}, which Envoy refuses; use smaller ones"
        yield refs.warning("VAL003", text)
    elif weights and not any(weights):
        yield refs.warning("VAL003", "no backend has a weight over 0; give one of them a share")


def weight_of(ref: Part) -> int:
    weight = ref["weight"].value
    return weight if isinstance(weight, int) and not isinstance(weight, bool) else 1
