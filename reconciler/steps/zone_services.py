"""The MeshServices of a zone: one for each service that its proxies name, and what it says of them.

They come with the first proxy, and go an hour after the last one: losing proxies is not deleting a
service. What decides (ports, identities, whether anybody answers, whether all speak mTLS) is told
at once; what is only counted, at most once an interval. Before the store is loaded, and while a
zone gathers what it lost, none is made: nothing is known of its proxies.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from reconciler.decode import mesh_resource
from reconciler.model.resource import (
    DISPLAY_NAME,
    ENV,
    MESH,
    ORIGIN,
    SERVICE,
    ZONE,
    Labels,
    MeshResource,
    ResourceKey,
    canonical_json,
)
from reconciler.model.services import (
    AVAILABLE,
    MESH_SERVICE,
    NOT_READY,
    READY,
    UNAVAILABLE,
    VACANT_SINCE,
    decisive,
    speaks_tls,
)
from reconciler.model.spec import MeshServiceSpec, MeshSpec
from reconciler.registration import node_id
from reconciler.state import ResourceDiff, narrowed
from reconciler.steps import zone_build, zone_report, zone_vips
from reconciler.steps.zone_state import BuildSoon, Effect, Note, Outcome, Persist, WakeAt, ZoneState
from reconciler.vips.statuses import FIELDS
from xds.copying import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.steps.proxy_state import Proxy
    from reconciler.steps.service_members import At, Held, Ports

MANAGED_BY, GENERATOR = "kuma.io/managed-by", "meshservice-generator"
LOOKS = 256  # proxies that are looked at in one turn
BATCH = 32  # services
SHOWN = 5  # proxies that a note names


def due(state: ZoneState, now: float) -> Outcome:
    """Look at what has changed, a few a turn."""
    gathering = state.gathering
    if not state.loaded or (gathering is not None and not gathering.told):
        return state, ()
    known = state.services
    quiet = not state.unserved and state.proxies.absent is known.absent and not known.queue
    if quiet and now < known.wake_at:
        return state, ()
    state = _followed(state)
    if state.unserved:  # Of a service half of whose proxies are known nothing is said.
        return state, (BuildSoon(),)
    state, effects = _decided(_called(state, now), now)
    state, wake = _next(state)
    return state, (*effects, *wake)


def meshes_changed(state: ZoneState, change: ResourceDiff) -> ZoneState:
    """Whether a mesh has MeshServices at all, and whether it has mTLS, is said by the Mesh."""
    keys = (*(r.key for r in change.put), *change.drop)
    meshes = {key.name for key in keys if key.type == "Mesh"}
    named = (key for key in state.services.members.by_service if key[0] in meshes)
    made = ((r.key.mesh, r.key.name) for mesh in meshes for r in state.local.of(MESH_SERVICE, mesh))
    return _queued(state, sorted({*named, *made}))


def _queued(state: ZoneState, services: Iterable[At], *, counts: bool = False) -> ZoneState:
    queue = dict(state.services.queue)
    for at in services:
        queue[at] = counts or queue.get(at, False)
    return replace(state, services=replace(state.services, queue=queue))


def _followed(state: ZoneState) -> ZoneState:
    known, absent = state.services, state.proxies.absent
    unserved = dict(state.unserved)
    if absent is not known.absent:
        moved = absent.symmetric_difference(known.absent)
        unserved |= dict.fromkeys(sorted(key for key in moved if key.type == "Dataplane"))
    keys = tuple(islice(unserved, LOOKS))
    for key in keys:
        del unserved[key]
    members, touched = known.members.followed(
        (key for key in keys if key.type == "Dataplane"),
        state.local.get,
        lambda key: _proxy(state, key),
    )
    touched |= {(key.mesh, key.name) for key in keys if key.type == MESH_SERVICE}
    state = replace(
        state, unserved=unserved, services=replace(known, members=members, absent=absent)
    )
    return _queued(state, sorted(touched))


def _proxy(state: ZoneState, key: ResourceKey) -> Proxy | None:
    proxy = state.proxies.get(node_id(key.mesh, key.name))
    return proxy if proxy is not None and proxy.key == key else None


def _called(state: ZoneState, now: float) -> ZoneState:
    """With those whose time has come: a round of what is counted, services without proxies."""
    known = state.services
    over = [at for at, end in known.ends.items() if end <= now]
    state = _queued(state, sorted(over)) if over else state
    if not known.waiting or now < known.counted_at + state.settings.services_interval_s:
        return state
    state = _queued(state, sorted(known.waiting), counts=True)
    return replace(state, services=replace(state.services, waiting=frozenset(), counted_at=now))


def _next(state: ZoneState) -> Outcome:
    known = state.services
    round_at = known.counted_at + state.settings.services_interval_s if known.waiting else math.inf
    wake_at = min((round_at, *known.ends.values()))
    state = replace(state, services=replace(known, wake_at=wake_at))
    soon = (BuildSoon(),) if known.queue else ()
    return state, soon if wake_at == math.inf else (*soon, WakeAt(wake_at))


# --- deciding ---


def _decided(state: ZoneState, now: float) -> Outcome:
    known = state.services
    queue = dict(known.queue)
    batch = {at: queue.pop(at) for at in tuple(islice(queue, BATCH))}
    waiting, ends, left_out = set(known.waiting), dict(known.ends), set(known.left_out)
    limit = state.settings.services_max
    room = limit - _made(state)
    put: list[MeshResource] = []
    drop: list[ResourceKey] = []
    notes: list[Effect] = []
    for at, counts in batch.items():
        before = state.local.get(_key(at))
        after = _wanted(state, at, before, now)
        waiting.discard(at)
        left_out.discard(at)
        ends.pop(at, None)
        if after is None:
            if before is not None:
                drop.append(before.key)
                notes.append(Note("service.removed", _said(at)))
        elif before is None and room <= 0:
            left_out.add(at)
            if at not in known.left_out:
                notes.append(Note("service.too_many", _said(at, limit=limit)))
        else:
            since = _vacant_since(after, now)
            if since is not None:
                ends[at] = since + state.settings.services_grace_s
            if before is None:
                room -= 1
                notes.append(Note("service.generated", _said(at)))
            if before is None or counts or _decides(before, after):
                put += [after] if after != before else []
            elif after.status != before.status:
                waiting.add(at)
    if drop and left_out:
        queue |= dict.fromkeys(sorted(left_out), False)
    services = replace(
        known, queue=queue, waiting=frozenset(waiting), ends=ends, left_out=frozenset(left_out)
    )
    state, differ = _differing(replace(state, services=services), batch)
    state, written = _written(state, ResourceDiff(tuple(put), tuple(drop)))
    return state, (*written, *notes, *differ)


def _decides(before: MeshResource, after: MeshResource) -> bool:
    """Or is to be kept."""
    return decisive(before) != decisive(after) or before.labels != after.labels


def _written(state: ZoneState, change: ResourceDiff) -> Outcome:
    """To disk once all proxies were told: it would all come again from the proxies, but for when
    the last of a service went.
    """
    if not change:
        return state, ()
    seen = narrowed(state.merged, ResourceDiff(tuple(map(decisive, change.put)), change.drop))
    services = replace(state.services, written=state.services.written + len(change.put))
    state = zone_report.put_local(replace(state, services=services), change)
    unwritten = {**state.unwritten, **dict.fromkeys(r.key for r in change.put)}
    state = replace(state, unwritten=unwritten, telling=True)
    state, built = zone_build.touched(state, seen)
    gone = (Persist("local", drop=change.drop),) if change.drop else ()
    return state, (*gone, *built, BuildSoon())


def _differing(state: ZoneState, batch: Iterable[At]) -> Outcome:
    """Proxies of one service with different ports: some cannot be reached by it. Told once."""
    known = state.services
    differing, notes = set(known.differing), list[Effect]()
    for at in batch:
        held, made = known.members.by_service.get(at), state.local.get(_key(at))
        if held is None or len(held.ports) < 2:
            differing.discard(at)
        elif at not in differing and made is not None:
            differing.add(at)
            ports = held.chosen(_ports(made))
            others = sorted(name for name, share in held.members.items() if share.ports != ports)
            notes.append(
                Note("service.ports_differ", _said(at, proxies=others[:SHOWN], count=len(others)))
            )
    if differing == known.differing:
        return state, ()
    return replace(state, services=replace(known, differing=frozenset(differing))), tuple(notes)


def _said(at: At, **more: object) -> Mapping[str, object]:
    return {"mesh": at[0], "service": at[1], **more}


def _key(at: At) -> ResourceKey:
    return ResourceKey(MESH_SERVICE, *at)


def _made(state: ZoneState) -> int:
    return sum(map(len, state.local.collections(MESH_SERVICE).values()))


def _wanted(
    state: ZoneState, at: At, before: MeshResource | None, now: float
) -> MeshResource | None:
    """What there should be; None for none."""
    key = _key(at)
    if before is None and state.merged.get(key) is not None:
        return None  # Another zone's, or the global's, has the name.
    if before is not None and before.labels.get(MANAGED_BY) != GENERATOR:
        return before  # Somebody made it by hand.
    found = state.policy.get(ResourceKey("Mesh", "", at[0]))
    mesh = found.spec if found is not None and isinstance(found.spec, MeshSpec) else None
    if mesh is not None and mesh.mesh_services_mode == "Disabled":
        return None
    held = state.services.members.by_service.get(at)
    if held is None:
        return before and _vacant(state, before, mesh, now)
    if mesh is None:  # A mesh that is gone may come back.
        return before
    return _served(state, at, before, mesh, held)


def _served(
    state: ZoneState, at: At, before: MeshResource | None, mesh: MeshSpec, held: Held
) -> MeshResource:
    ports, total = held.chosen(_ports(before)), len(held.members)
    healthy = held.healthy(ports)
    identities = [{"type": "ServiceTag", "value": name} for name in sorted(held.identities)]
    data = {
        "identities": identities,
        "ports": [
            {
                "appProtocol": port.protocol,
                "name": port.name,
                "port": port.port,
                "targetPort": port.target_port,
            }
            for port in ports
        ],
        "selector": {"dataplaneTags": {SERVICE: at[1]}},
        "state": AVAILABLE if healthy else UNAVAILABLE,
    }
    certified = mesh.mtls is not None and held.backends.get(mesh.mtls.name, 0) == total
    counts = {"connected": held.connected, "healthy": healthy, "total": total}
    names = _named(state, at, before)
    status = _status(before, mesh, certified=certified, counts=counts, names=names)
    return mesh_resource(_key(at), _labels(state, at), data, status)


def _vacant(
    state: ZoneState, before: MeshResource, mesh: MeshSpec | None, now: float
) -> MeshResource | None:
    """Without a proxy; None once it was so for long enough."""
    since = _vacant_since(before, now)
    if since is not None and now >= since + state.settings.services_grace_s:
        return None
    at = before.key.mesh, before.key.name
    text = datetime.fromtimestamp(int(now if since is None else since), UTC).isoformat()
    labels = _labels(state, at).with_labels({VACANT_SINCE: text.replace("+00:00", "Z")})
    data = {**json.loads(before.body), "state": UNAVAILABLE}
    names = _named(state, at, before)
    status = _status(before, mesh, certified=False, counts={}, names=names)
    return mesh_resource(before.key, labels, data, status)


def _vacant_since(resource: MeshResource, now: float) -> float | None:
    """None as well for what no clock can have said by now."""
    text = resource.labels.get(VACANT_SINCE)
    try:
        since = datetime.fromisoformat(text).timestamp() if text else math.inf
    except (OverflowError, ValueError):
        return None
    return since if since <= now else None


def _status(
    before: MeshResource | None,
    mesh: MeshSpec | None,
    *,
    certified: bool,
    counts: Mapping[str, int],
    names: Mapping[str, object],
) -> str:
    """Kuma leaves out what is zero. While the mesh has mTLS it goes one way: every new proxy begins
    with mTLS, and callers must not change to plain text until it has its certificate.
    """
    held = before is not None and speaks_tls(before) and (mesh is None or mesh.mtls is not None)
    tls = READY if held or certified else NOT_READY
    told = {name: count for name, count in counts.items() if count}
    return canonical_json({**names, "dataplaneProxies": told, "tls": {"status": tls}})


def _named(state: ZoneState, at: At, before: MeshResource | None) -> Mapping[str, object]:
    """Its names and address; after a start those of before, until they are known again."""
    found = zone_vips.status_fields(state, *at)
    if found is not None:
        return found
    said = json.loads(before.status) if before is not None and before.status else {}
    return {name: said[name] for name in FIELDS if name in said}


def _labels(state: ZoneState, at: At) -> Labels:
    mesh, name = at
    return Labels.of(
        {
            DISPLAY_NAME: name,
            ENV: "universal",
            MANAGED_BY: GENERATOR,
            MESH: mesh,
            ORIGIN: "zone",
            ZONE: state.settings.zone,
        }
    )


def _ports(service: MeshResource | None) -> Ports:
    spec = service.spec if service is not None else None
    return spec.ports if isinstance(spec, MeshServiceSpec) else ()
