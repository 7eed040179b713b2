"""What a control plane measures of itself, as plain values: the names and labels that Prometheus
reads. Pure.

Everything is computed from the state when somebody asks: a process that nobody scrapes pays
nothing. Labels are zones, states and event names, never proxies, so that a large fleet makes few
series.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from reconciler.steps.status_step import behind, window_s
from reconciler.steps.zone_egress import without_egress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.kds.manifest import ConvergenceReport
    from reconciler.steps.global_state import GlobalState
    from reconciler.steps.status_state import StatusState
    from reconciler.steps.zone_record import ZoneRecord
    from reconciler.steps.zone_state import ZoneState

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric: its name without the suffix `_total`, and a value for each set of labels."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    samples: tuple[tuple[Labels, float], ...]


@dataclass(frozen=True, slots=True)
class ProcessFigures:
    """What the shell knows of its process. `events`: how often each log event was noted."""

    role: str
    version: str
    events: Mapping[str, int]
    loop_longest_ms: float
    loop_stalls: int
    store_error: str
    store_waiting: int  # effects that wait for the disk


def _one(name: str, text: str, value: float) -> Figure:
    return Figure(name, "gauge", text, (((), value),))


def process_figures(process: ProcessFigures) -> Iterator[Figure]:
    build = (("role", process.role), ("version", process.version))
    yield Figure("reconciler_build_info", "gauge", "Role and version, always 1.", ((build, 1),))
    events = tuple(((("event", name),), n) for name, n in sorted(process.events.items()))
    text = "Log events by name; docs/reference/operations.md explains each."
    yield Figure("reconciler_events", "counter", text, events)
    text = "Longest turn of the event loop since the start."
    yield _one("reconciler_loop_longest_turn_seconds", text, process.loop_longest_ms / 1000)
    text = "Turns of the event loop over 10 ms."
    yield Figure("reconciler_loop_stalls", "counter", text, (((), process.loop_stalls),))
    text = "1 while the state directory takes what is written to it."
    yield _one("reconciler_store_up", text, not process.store_error)
    text = "Effects that wait for a write to disk."
    yield _one("reconciler_store_waiting", text, process.store_waiting)


def global_figures(state: GlobalState) -> Iterator[Figure]:
    published = state.published
    revision = ((("revision", published.commit if published else ""),),)
    text = "The commit in force, 1; 0 while there is none."
    yield Figure("reconciler_revision_info", "gauge", text, ((revision[0], published is not None),))
    text = "1 while the newest commit is not in force because of its problems."
    yield _one("reconciler_commit_rejected", text, state.rejected is not None)
    problems = len(state.rejected.problems) if state.rejected else 0
    yield _one("reconciler_commit_problems", "Problems of the newest commit.", problems)
    text = "1 while the policy repository can be read."
    yield _one("reconciler_repository_up", text, not (state.fetch_error or state.load_error))
    resources = len(published.resources.by_key) if published else 0
    yield _one("reconciler_resources", "Resources of the revision in force.", resources)
    yield from _zone_figures(state)


def _zone_figures(state: GlobalState) -> Iterator[Figure]:
    records = sorted(state.zones.values(), key=lambda record: record.name)
    commit = state.published.commit if state.published else None
    yield Figure(
        "reconciler_zone_connected", "gauge", "1 while the zone's streams are open.",
        tuple((_zone(r), is_connected(r)) for r in records),
    )  # fmt: skip
    yield Figure(
        "reconciler_zone_current", "gauge", "1 while the zone has the revision in force.",
        tuple(
            (_zone(r), (r.report.revision if r.report is not None else r.took) == commit)
            for r in records if r.report is not None or r.took
        ),
    )  # fmt: skip
    yield Figure(
        "reconciler_zone_rejected_types", "gauge", "Types of resources that the zone refuses.",
        tuple((_zone(r), len(r.rejected)) for r in records),
    )  # fmt: skip
    yield Figure(
        "reconciler_zone_claims_refused", "counter",
        "Resources with which the zone claimed another zone's name.",
        tuple((_zone(r), r.claims) for r in records),
    )  # fmt: skip
    yield Figure(
        "reconciler_zone_types_too_large", "gauge", "Types that are not sent: the zone reads less.",
        tuple(
            (_zone(r), sum(len(s.held) for s in state.streams_of(r.name)))
            for r in records
        ),
    )  # fmt: skip
    yield Figure(
        "reconciler_zone_proxies", "gauge", "Connected proxies by zone and state.",
        tuple(
            ((*_zone(r), ("state", standing)), value)
            for r in records if r.report is not None
            for standing, value in _standings(r.report)
        ),
    )  # fmt: skip
    yield _one("reconciler_kds_streams", "Sync streams of zones.", len(state.sessions))


def _zone(record: ZoneRecord) -> Labels:
    return (("zone", record.name),)


def is_connected(record: ZoneRecord) -> bool:
    return record.connected_at is not None and record.disconnected_at is None


def _standings(report: ConvergenceReport) -> tuple[tuple[str, int], ...]:
    return (
        ("acknowledged", report.acked),
        ("pending", report.pending),
        ("rejected", report.rejected),
    )


def probe_figures(answers: Mapping[str, int], silent: int) -> Iterator[Figure]:
    """Of the ingresses of other zones, which a zone asks."""
    yield _one(
        "reconciler_ingresses_silent", "Other zones' ingresses that stopped answering.", silent
    )
    yield Figure(
        "reconciler_ingress_probes", "counter",
        "What came of asking other zones' ingresses: answered, silent, or an error of this host.",
        tuple(((("result", name),), n) for name, n in sorted(answers.items())),
    )  # fmt: skip


def zone_figures(state: ZoneState, report: ConvergenceReport) -> Iterator[Figure]:
    """`report` is what the zone says of itself now."""
    revision = (("revision", state.revision or ""),)
    text = "The commit in force, 1; 0 while there is none."
    yield Figure("reconciler_revision_info", "gauge", text, ((revision, bool(state.revision)),))
    text = "1 while the global is connected."
    yield _one("reconciler_global_up", text, state.link.session is not None)
    yield Figure(
        "reconciler_proxies", "gauge", "Connected proxies by state.",
        tuple(((("state", name),), value) for name, value in _standings(report)),
    )  # fmt: skip
    registered = len(state.proxies)
    yield _one("reconciler_proxies_registered", "Proxies of this zone.", registered)
    yield _one("reconciler_proxies_waiting", "Proxies to be computed anew.", len(state.dirty))
    text = "Meshes that may leave the zone by egresses alone, while there is none."
    yield _one("reconciler_egress_missing", text, len(without_egress(state)))
    made = sum(map(len, state.local.collections("MeshService").values()))
    yield _one("reconciler_mesh_services", "MeshServices made of proxies.", made)
    yield Figure(
        "reconciler_mesh_service_changes", "counter",
        "MeshServices written, for themselves or for their status.",
        (((), state.services.written),),
    )  # fmt: skip
    yield Figure(
        "reconciler_built", "counter", "Envoy resources built, by builder.",
        tuple(
            ((("builder", name),), n) for name, n in sorted(state.settings.builders.rebuilt.items())
        ),
    )  # fmt: skip
    expiries = [
        held.certificate.expires_at
        for proxy in state.proxies.values()
        for held in proxy.identities.values()
        if held.certificate is not None
    ]
    if expiries:
        text = "When the first workload certificate ends, seconds since the epoch."
        yield _one("reconciler_certificate_first_expiry_seconds", text, min(expiries))


def status_figures(state: StatusState, errors: int) -> Iterator[Figure]:
    """Of the status refs that this process writes."""
    counted = asdict(state.counters)
    yield Figure(
        "reconciler_status_refs", "counter", "Status commits and what became of them, by event.",
        tuple(((("event", name),), n) for name, n in sorted(counted.items())),
    )  # fmt: skip
    text = "Status refs that do not say the latest."
    yield _one("reconciler_status_behind", text, len(behind(state)))
    text = "Seconds within which status changes go together, as the remote bears it."
    yield _one("reconciler_status_window_seconds", text, window_s(state))
    yield _one("reconciler_status_up", "1 while status gets through to Git.", not errors)


def door_figures(figures: Mapping[str, int]) -> Iterator[Figure]:
    """Of the port that proxies dial first (`api.door.Door.figures`)."""
    now = ("waiting", "open")
    yield Figure(
        "reconciler_door_connections", "gauge", "Connections of the proxies' port, by state.",
        tuple(((("state", name),), figures[name]) for name in now),
    )  # fmt: skip
    ended = sorted((name, n) for name, n in figures.items() if name not in now)
    yield Figure(
        "reconciler_door_decisions", "counter",
        "Connections handed to grpc or http, or turned away and why.",
        tuple(((("decision", name),), n) for name, n in ended),
    )  # fmt: skip


def api_figures(figures: Mapping[str, Mapping[str, float]]) -> Iterator[Figure]:
    """Of the HTTP API (`api.rest_figures.ApiFigures`)."""
    yield Figure(
        "reconciler_api_answers", "counter", "Answers of the HTTP API, by class of status.",
        tuple(((("class", name),), n) for name, n in sorted(figures["answers"].items())),
    )  # fmt: skip
    yield Figure(
        "reconciler_api_denied", "counter", "Requests turned away by the HTTP API, and why.",
        tuple(((("reason", name),), n) for name, n in sorted(figures["denied"].items())),
    )  # fmt: skip
    text = "Seconds from request to answer, summed."
    yield Figure("reconciler_api_seconds", "counter", text, (((), figures["now"]["seconds"]),))
    text = "Requests of the HTTP API that are computed or wait for it."
    yield _one("reconciler_api_waiting", text, figures["now"]["waiting"])


def admin_figures(figures: Mapping[str, int]) -> Iterator[Figure]:
    """Of questions to proxies (`admin_client.AdminClient`, `kds.admin_server.AdminDesk`)."""
    text = "Questions to proxies that wait for their answer."
    yield _one("reconciler_admin_waiting", text, figures["waiting"])
    yield Figure(
        "reconciler_admin_questions", "counter", "Questions to proxies, and how they ended.",
        tuple(((("outcome", k),), n) for k, n in sorted(figures.items()) if k != "waiting"),
    )  # fmt: skip
