"""What `reconciler inspect` asks, where the global sends it, and how it ends. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.kds.admin import AdminKind, Question
from reconciler.model.resource import DISPLAY_NAME, NAMESPACE

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource
    from reconciler.steps.global_state import GlobalState
    from reconciler.steps.zone_record import ZoneRecord

PROXY_TYPES: Mapping[str, str] = {
    "dataplane": "Dataplane",
    "zone-ingress": "ZoneIngress",
    "zone-egress": "ZoneEgress",
}
KUBERNETES = "kubernetes"
UNANSWERED, NOT_FOUND, AMBIGUOUS, NO_ZONE, TIMED_OUT = 502, 404, 409, 503, 504  # HTTP


@dataclass(frozen=True, slots=True)
class Inspection:
    """`zone` is empty where nobody said which; `question` has the name as people write it."""

    question: Question
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Inspected:
    """An HTTP status, and the body as Envoy gave it or the words of what went wrong."""

    status: int = 200
    body: bytes = b""
    error: str = ""


def inspection(given: Mapping[str, str]) -> Inspection | str:
    """From a query's parameters, or what is wrong with them."""
    type_, name = PROXY_TYPES.get(given.get("type", "dataplane")), given.get("name", "")
    if type_ is None:
        return f"type: must be one of {', '.join(PROXY_TYPES)}"
    if not name:
        return "name: which proxy?"
    try:
        kind = AdminKind(given.get("what", AdminKind.CONFIG))
    except ValueError:
        return f"what: must be one of {', '.join(AdminKind)}"
    question = Question(
        kind=kind,
        type=type_,
        name=name,
        mesh=given.get("mesh", "") if type_ == "Dataplane" else "",
        as_json=given.get("format") == "json" or kind is AdminKind.CONFIG,
        used_only=kind is AdminKind.STATS and given.get("all") != "1",
        include_eds=kind is AdminKind.CONFIG and given.get("eds") == "1",
    )
    return Inspection(question, given.get("zone", ""))


def outcome(body: bytes, error: str) -> Inspected:
    """A proxy that does not answer in time is told from one that answers wrongly."""
    if not error:
        return Inspected(body=body)
    if error.startswith("resource not found"):
        return Inspected(NOT_FOUND, error=error)
    return Inspected(TIMED_OUT if "timed out" in error else UNANSWERED, error=error)


# --- where a proxy is ---


@dataclass(frozen=True, slots=True)
class Routed:
    """The zone to ask, and the name the proxy has there."""

    zone: str
    name: str


def routed(state: GlobalState, asked: Inspection) -> Routed | Inspected:
    """By the inventory. A zone that is named is asked in any case: it may know a proxy that has not
    been reported yet.
    """
    question = asked.question
    if asked.zone and asked.zone not in state.zones:
        known = ", ".join(sorted(state.zones)) or "none"
        return Inspected(NO_ZONE, error=f'zone "{asked.zone}" is not known; known are: {known}')
    records = [state.zones[zone] for zone in sorted(state.zones) if asked.zone in ("", zone)]
    found = [
        (record, name)
        for record, namespaced in ((r, _has_namespaces(state, r.name)) for r in records)
        for resource in record.owned.of(question.type, question.mesh)
        for name in (name_in_zone(record.name, resource, namespaced=namespaced),)
        if question.name in (resource.key.name, name)
    ]
    if not found and asked.zone:
        found_in = state.zones[asked.zone]
        return _offline(found_in) or Routed(asked.zone, question.name)
    if not found:
        of = f' of mesh "{question.mesh}"' if question.mesh else ""
        text = f'no zone has reported a {question.type} "{question.name}"{of}'
        return Inspected(NOT_FOUND, error=f"{text}; `reconciler status --proxies` lists them all")
    if len(found) > 1:
        zones = ", ".join(record.name for record, _ in found)
        return Inspected(AMBIGUOUS, error=f"several have that name: say --zone, one of {zones}")
    record, name = found[0]
    return _offline(record) or Routed(record.name, name)


def _offline(record: ZoneRecord) -> Inspected | None:
    if record.connected_at is not None and record.disconnected_at is None:
        return None
    return Inspected(NO_ZONE, error=f'zone "{record.name}" is offline: its proxies cannot be asked')


def name_in_zone(zone: str, resource: MeshResource, *, namespaced: bool) -> str:
    """What a zone calls its resource: its display name, and on Kubernetes the namespace. One that
    travelled under a name that begins with the zone's has it from before there were namespaces.
    """
    name = resource.labels.get(DISPLAY_NAME) or resource.key.name
    namespace = resource.labels.get(NAMESPACE)
    legacy = resource.key.name.startswith(f"{zone}.")
    return f"{name}.{namespace}" if namespaced and namespace and not legacy else name


def _has_namespaces(state: GlobalState, zone: str) -> bool:
    """As the configuration says that the zone showed in its Node."""
    return any(
        store_type(s.announced.config) == KUBERNETES
        for s in state.streams_of(zone)
        if s.announced is not None
    )


def store_type(text: str) -> str:
    """`store.type` of a zone's configuration; "" when it shows none."""
    try:
        config = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return ""
    store = config.get("store") if isinstance(config, Mapping) else None
    found = store.get("type") if isinstance(store, Mapping) else None
    return found if isinstance(found, str) else ""
