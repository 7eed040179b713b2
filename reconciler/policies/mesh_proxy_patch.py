"""MeshProxyPatch: changes of Envoy's own resources, for what no other policy can say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.native import (
    CLUSTER,
    HTTP_FILTER,
    LISTENER,
    NETWORK_FILTER,
    VIRTUAL_HOST,
    native_patch,
    native_resource,
)
from reconciler.part import Part, not_allowed, not_empty, required
from reconciler.policies.document import check_sections
from reconciler.policies.policy import GATEWAY, PROXY_KINDS, PolicyRules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

_TYPES = {
    "cluster": CLUSTER,
    "listener": LISTENER,
    "virtualHost": VIRTUAL_HOST,
    "networkFilter": NETWORK_FILTER,
    "httpFilter": HTTP_FILTER,
}
_FILTERS = ("networkFilter", "httpFilter")
_WITH_VALUE, _WITH_FROM = ("add", "replace"), ("move", "copy")


def check(spec: Mapping[str, object], at: At) -> Faults:
    yield from check_sections(POLICY, spec, at)
    modifications = Part(spec, (), at)["default"]["appendModifications"]
    yield from not_empty(modifications, "list what is to be changed")
    for modification in modifications.items():
        given = modification.given(*_TYPES)
        if len(given) != 1:
            what = f"changes {' and '.join(part.name for part in given) or 'nothing'}"
            text = f"{what}; one modification is of exactly one of {', '.join(_TYPES)}"
            yield modification.fault("VAL007" if given else "VAL008", text)
        else:
            yield from _modification(given[0])


def _modification(part: Part) -> Faults:
    operation, match = part["operation"].text, part["match"]
    if part.name in _FILTERS and operation in ("AddBefore", "AddAfter", "Patch"):
        yield from required(match["name"], "write the name of the filter that is meant")
    match operation:
        case "Add":
            whole = match["name"] if part.name == "virtualHost" else match
            yield from not_allowed(whole, "what is added changes none that is there")
            yield from _added(part)
        case "AddFirst" | "AddLast" | "AddBefore" | "AddAfter":
            yield from _added(part)
        case "Patch":
            yield from _patch(part)
        case "Remove":
            yield from not_allowed(part["value"], "what is removed needs no value")
        case _:
            pass  # The schema has said so.


def _patch(part: Part) -> Faults:
    steps = part["jsonPatches"]
    has_steps = steps.value not in (None, [], ())
    if part["value"] and has_steps:
        yield part.fault("VAL007", "value and jsonPatches exclude each other; keep one of them")
    elif part["value"]:
        yield from native_patch(part["value"], _TYPES[part.name])
    elif not has_steps:
        yield part.fault("VAL008", "changes nothing; write value or jsonPatches")
    else:
        for step in steps.items():
            yield from _step(step)


def _step(step: Part) -> Faults:
    """`value: null` is a value."""
    op = step["op"].text
    if op in _WITH_FROM:
        yield from required(step["from"], f"write where {op} takes it from")
    else:
        yield from not_allowed(step["from"], f"{op} takes nothing from elsewhere")
    if op in _WITH_VALUE and "value" not in step.fields:
        yield step["value"].fault("VAL001", f"value is missing; write what {op} puts there")
    elif op not in _WITH_VALUE and "value" in step.fields:
        yield step["value"].fault("VAL011", f"{op} has no value; remove it")
    if op == "remove" and step["path"].value in ("", "/"):
        yield step["path"].fault("VAL010", "the whole resource cannot be removed; use Remove")


def _added(part: Part) -> Faults:
    value = part["value"]
    yield from required(value, "write the resource as Envoy's YAML in one text")
    if isinstance(value.value, str):
        yield from native_resource(value, _TYPES[part.name])


POLICY = PolicyRules(
    kind="MeshProxyPatch",
    slug="mesh_proxy_patch",
    check=check,
    top_kinds=(*PROXY_KINDS, GATEWAY),
    system_kinds=(GATEWAY,),
    gateway_tags=False,
)
