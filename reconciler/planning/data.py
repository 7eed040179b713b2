"""A plan as plain JSON data: stable, for programs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.planning.text import difference

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.model.resource import ResourceKey
    from reconciler.planning.changes import FieldChange, ResourceChange
    from reconciler.planning.edges import EdgeChange
    from reconciler.planning.effect import GroupEffect
    from reconciler.planning.plan import Plan, TlsChange, ZonePlan
    from reconciler.planning.settings import SettingChange
    from reconciler.problems import Position
    from xds.resource import XdsResource

FORMAT = 1
Data = dict[str, object]


def data(plan: Plan, readable: Callable[[XdsResource], Data] | None) -> Data:
    shadow = plan.shadow
    return {
        "format": FORMAT,
        **_data(plan, readable),
        "shadow": _data(shadow, readable) if shadow is not None else None,
    }


def _data(plan: Plan, readable: Callable[[XdsResource], Data] | None) -> Data:
    risk = plan.risk
    return {
        "empty": plan.is_empty,
        "risk": {
            "level": risk.level,
            "proxies": risk.proxies,
            "touched": risk.touched,
            "drained": risk.drained,
            "removed": risk.removed,
            "closed": risk.closed,
            "opened": risk.opened,
            "weakerTls": risk.weaker_tls,
            "refused": risk.refused,
            "deadEnds": risk.dead_ends,
            "otherCa": risk.other_ca,
            "unknown": risk.unknown,
        },
        "resources": [_resource(change) for change in plan.changes],
        "edges": [_edge(edge, plan) for edge in plan.edges],
        "tls": [_tls(change) for change in plan.tls],
        "settings": [_setting(change, plan) for change in plan.settings],
        "warnings": [{**_place(p.at), "code": p.code, "message": p.message} for p in plan.warnings],
        "zones": [_zone(zone, plan, readable) for zone in plan.zones],
    }


def _resource(change: ResourceChange) -> Data:
    return {
        "change": change.sort,
        **_key(change.key),
        **_place(change.at),
        "fields": [_field(field) for field in change.fields],
    }


def _key(key: ResourceKey) -> Data:
    return {"type": key.type, "mesh": key.mesh, "name": key.name}


def _place(at: Position) -> Data:
    return {"path": at.path, "line": at.line, "column": at.column}


def _field(change: FieldChange) -> Data:
    return {"field": change.field, "before": change.before, "after": change.after}


def _origins(keys: tuple[ResourceKey, ...], plan: Plan) -> list[Data]:
    found: list[Data] = []
    for key in keys:
        written, at = plan.places.get(key, (key, None))
        found.append({**_key(written), **(_place(at) if at is not None else {"path": None})})
    return found


def _edge(edge: EdgeChange, plan: Plan) -> Data:
    return {
        "mesh": edge.mesh,
        "caller": edge.caller,
        "service": edge.service,
        "tags": dict(edge.subset),
        "before": edge.before.name,
        "after": edge.after.name,
        "opens": edge.opens,
        "closes": edge.closes,
        "zones": [{"caller": one, "service": other} for one, other in edge.pairs],
        "policies": _origins(edge.origins, plan),
    }


def _tls(change: TlsChange) -> Data:
    return {
        "mesh": change.mesh,
        "before": change.before,
        "after": change.after,
        "weaker": change.is_weaker,
        "otherCa": change.backend,
    }


def _setting(change: SettingChange, plan: Plan) -> Data:
    scope = change.scope
    return {
        "mesh": change.mesh,
        "kind": scope.kind,
        "direction": scope.direction,
        "other": scope.other,
        "fields": [_field(field) for field in change.fields],
        "policies": _origins(change.origins, plan),
        "for": [{"zone": zone, "services": s, "proxies": n} for zone, s, n in change.who],
    }


def _zone(zone: ZonePlan, plan: Plan, readable: Callable[[XdsResource], Data] | None) -> Data:
    return {
        "zone": zone.zone,
        "proxies": zone.proxies,
        "touched": zone.touched,
        "native": zone.native,
        "notes": list(zone.notes),
        "refused": [
            {"mesh": r.mesh, "services": r.services, "proxies": r.proxies, "reason": r.reason}
            for r in zone.refusals
        ],
        "groups": [_group(effect, plan, readable) for effect in zone.effects],
    }


def _group(effect: GroupEffect, plan: Plan, readable: Callable[[XdsResource], Data] | None) -> Data:
    changes: list[Data] = []
    for change in effect.changes:
        row: Data = {
            "change": change.sort,
            "type": change.type,
            "name": change.name,
            "drains": change.drains,
            "policies": _origins(change.origins, plan),
        }
        if readable is not None:
            row["diff"] = list(difference(change, readable))
        changes.append(row)
    found: Data = {"mesh": effect.mesh, "services": effect.title, "ingress": effect.ingress}
    found |= {"proxies": effect.proxies, "of": effect.of, "changes": changes}
    return found | ({"left": effect.left} if effect.left else {})
