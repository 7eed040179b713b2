"""Which settings change, for whom and from whom, and what a mesh asks for as a whole."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.decode import mesh_resource
from reconciler.planning.plan import plan
from tests.support.planned import ALL, EAST, EVERYBODY, NONE, V1, mesh, planned, told
from tests.support.plans import loaded

if TYPE_CHECKING:
    from reconciler.load import Loaded
    from reconciler.planning.plan import Plan
    from tests.support.plans import Document

BASE = [mesh(), ALL]


def policy(kind: str, spec: Document, **labels: str) -> Document:
    found: Document = {"type": kind, "mesh": "default", "name": "q", "spec": spec}
    return found | ({"labels": labels} if labels else {})


def settings(found: Plan) -> list[tuple[str, str, str, str]]:
    return [
        (change.scope.direction, change.scope.other, field.field, f"{field.before}>{field.after}")
        for change in found.settings
        for field in change.fields
    ]


def abort(percentage: int) -> Document:
    return {"http": [{"abort": {"httpStatus": 500, "percentage": percentage}}]}


FROM = policy(
    "MeshFaultInjection",
    {
        "targetRef": {"kind": "Mesh", "proxyTypes": ["Sidecar"]},
        "from": [
            {"targetRef": EVERYBODY, "default": abort(50)},
            {"targetRef": V1, "default": abort(10)},
        ],
    },
)
SPIFFE = {"spiffeID": {"type": "Prefix", "value": "spiffe://default/w"}}
RULES = policy("MeshFaultInjection", {"rules": [{"matches": [SPIFFE], "default": abort(9)}]})
TRACE = {"default": {"backends": [{"type": "Zipkin", "zipkin": {"url": "http://203.0.113.7"}}]}}


def test_callers_that_are_left_out_are_named() -> None:
    found = {other for _, other, _, _ in settings(planned(BASE, [*BASE, FROM], EAST))}
    assert found == {"version=v1 at :8080", "not version=v1 at :8080"}


def test_rules_are_told_with_their_matches() -> None:
    found = {other for _, other, _, _ in settings(planned(BASE, [*BASE, RULES], EAST))}
    assert found == {"spiffe://default/w* at :8080, by q"}


def test_what_a_policy_sets_of_the_proxy_as_a_whole() -> None:
    found = settings(planned(BASE, [*BASE, policy("MeshTrace", TRACE)], EAST))
    assert {(direction, other) for direction, other, _, _ in found} == {("proxy", "")}


def test_a_shadow_policy_sets_nothing() -> None:
    shadow = policy("MeshTrace", TRACE, **{"kuma.io/effect": "shadow"})
    found = planned(BASE, [*BASE, shadow], EAST)
    assert found.settings == ()
    assert found.shadow is not None
    assert found.shadow.settings


def test_what_goes_is_told_as_well() -> None:
    found = planned([*BASE, RULES], BASE, EAST)
    assert found.settings
    assert all(
        after == "" for change in found.settings for _, _, after in map(parts, change.fields)
    )
    assert [key.type for key in found.settings[0].origins] == ["MeshFaultInjection"]


def parts(field: Any) -> tuple[str, str, str]:
    return field.field, field.before, field.after


def test_who_may_call_is_told_as_ways() -> None:
    assert planned(BASE, [mesh(), NONE], EAST).settings == ()


# --- mTLS and the risk ---


def provided(secret: str) -> Loaded:
    """As loaded with secrets, which are outside of the repository."""
    found = loaded(BASE)
    cert = {"cert": {"secret": secret}, "key": {"secret": "key"}}
    backend = {"name": "ca-1", "type": "provided", "mode": "STRICT", "conf": cert}
    spec = {"mtls": {"enabledBackend": "ca-1", "backends": [backend]}}
    resources = (
        mesh_resource(r.key, r.labels, spec) if r.key.type == "Mesh" else r for r in found.resources
    )
    return replace(found, resources=tuple(resources))


def second() -> Document:
    found = mesh()
    found["mtls"]["backends"].append({"name": "ca-2", "type": "builtin"})
    found["mtls"]["enabledBackend"] = "ca-2"
    return found


@pytest.mark.parametrize(
    ("before", "after", "weaker", "other_ca", "level"),
    [
        ("STRICT", "PERMISSIVE", True, False, "high"),
        ("PERMISSIVE", "", True, False, "high"),
        ("STRICT", "", True, False, "high"),
        ("PERMISSIVE", "STRICT", False, False, "medium"),
        ("", "STRICT", False, False, "medium"),
    ],
)
def test_mtls_gets_weaker_or_stronger(
    before: str, after: str, weaker: bool, other_ca: bool, level: str
) -> None:
    found = planned([mesh(mode=before), ALL], [mesh(mode=after), ALL], EAST)
    (tls,) = found.tls
    assert (tls.before, tls.after) == (before or "off", after or "off")
    assert (tls.is_weaker, tls.backend) == (weaker, other_ca)
    assert found.risk.level == level


def test_another_ca_is_no_low_risk() -> None:
    """Every certificate is another one."""
    found = planned(BASE, [second(), ALL], EAST)
    assert [(tls.backend, tls.is_weaker) for tls in found.tls] == [(True, False)]
    assert (found.risk.level, found.risk.other_ca) == ("medium", 1)


@pytest.mark.parametrize(
    ("before", "after", "other"),
    [
        (loaded(BASE), provided("cert"), True),
        (provided("cert"), provided("cert-2"), True),
        (provided("cert"), provided("cert"), False),
    ],
)
def test_a_backend_of_the_same_name_may_be_another_ca(
    before: Loaded, after: Loaded, other: bool
) -> None:
    assert [tls.backend for tls in plan(before, after, []).tls] == [True] * other


def test_a_policy_that_goes_and_did_nothing_is_a_risk_all_the_same() -> None:
    idle = policy(
        "MeshTimeout",
        {
            "targetRef": {"kind": "MeshSubset", "tags": {"version": "v9"}},
            "from": [{"targetRef": EVERYBODY, "default": {"idleTimeout": "1s"}}],
        },
    )
    found = planned([*BASE, idle], BASE, EAST)
    assert (found.risk.touched, found.risk.removed, found.risk.level) == (0, 1, "medium")


def test_what_no_zone_tells_is_not_called_a_low_risk() -> None:
    found = planned(BASE, [mesh(), NONE], {})
    assert (found.risk.level, found.risk.unknown) == ("unknown", "no zone tells of its proxies")
    silent = planned(BASE, [mesh(), NONE], {"east": []})
    assert silent.risk.level == "unknown"
    assert planned(BASE, BASE, {}).risk.level == "low"


def test_a_mesh_that_would_refuse_proxies_already_is_not_told_again() -> None:
    rule = {"dataplaneProxy": {"restrictions": [{"tags": {"kuma.io/service": "backend"}}]}}
    base, head = mesh(constraints=rule), mesh(constraints=rule, mode="PERMISSIVE")
    east = told("east", {("default", "backend"): (), ("default", "web"): ()}, [])
    again = plan(loaded([base, ALL]), loaded([head, ALL]), [east])
    assert again.zones[0].refusals == ()
    first = plan(loaded(BASE), loaded([base, ALL]), [east])
    assert [each.services for each in first.zones[0].refusals] == ["backend"]
