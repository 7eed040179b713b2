"""Slices, manifests and origin rules: what a zone may see, and a revision as a whole."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

from reconciler.decode import mesh_resource
from reconciler.kds import manifest as module
from reconciler.kds.codec import CarriedResource, decode_entry, encode_carried
from reconciler.kds.manifest import (
    ConvergenceReport,
    Manifest,
    Rejection,
    encode_report,
    matches,
    parse_manifest,
    parse_report,
    versions_digest,
)
from reconciler.kds.receive import accept_from_global, accept_from_zone
from reconciler.kds.types import GLOBAL_TO_ZONE_TYPES, MANIFEST, OWNED_TYPES, RELAYED_TYPES, REPORT
from reconciler.model.resource import Labels, MeshResource, ResourceKey, canonical_json
from reconciler.state import EMPTY, MeshState, from_resources
from tests.support.slices import sliced
from xds.discovery import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.kds.slice import Slice


def made(type_: str, mesh: str, name: str, data: Any, **labels: str) -> MeshResource:
    found = {key.replace("_", "/", 1): value for key, value in labels.items()}
    return mesh_resource(ResourceKey(type_, mesh, name), Labels.of(found), data)


MESH = made("Mesh", "", "default", {})
TIMEOUT = made("MeshTimeout", "default", "t", {"to": [{"default": {"idleTimeout": "1s"}}]})
OWNED = from_resources((MESH, TIMEOUT))


def ingress(zone: str) -> MeshResource:
    data = {"zone": zone, "networking": {"port": 10001, "address": "10.0.0.1"}}
    labels = Labels.of({"kuma.io/zone": zone, "kuma.io/origin": "zone"})
    return mesh_resource(ResourceKey("ZoneIngress", "", f"i-{zone}"), labels, data)


def names(found: Slice, type_: str) -> list[str]:
    carried = [decode_entry(type_, r.entry) for r in found.types[type_].values()]
    return sorted(c.labels.get("kuma.io/display-name", c.name) for c in carried)


def test_slice_marks_everything_as_the_globals_and_hashes_names() -> None:
    found = sliced(None, "east", "c1", OWNED, EMPTY)
    (frame,) = found.types["MeshTimeout"].values()
    carried = decode_entry("MeshTimeout", frame.entry)
    assert carried.labels["kuma.io/origin"] == "global"
    assert carried.labels["kuma.io/display-name"] == "t"
    assert carried.name.startswith("t-")
    assert names(found, "Mesh") == ["default"]


def test_ingress_is_relayed_to_every_zone_but_its_own() -> None:
    relayed = from_resources((ingress("east"), ingress("west")))
    assert names(sliced(None, "east", "c1", OWNED, relayed), "ZoneIngress") == ["i-west"]
    assert names(sliced(None, "west", "c1", OWNED, relayed), "ZoneIngress") == ["i-east"]


def test_ingress_of_a_disabled_zone_is_not_relayed() -> None:
    disabled = made("Zone", "", "west", {"enabled": False})
    owned = from_resources((MESH, disabled))
    relayed = from_resources((ingress("west"),))
    assert names(sliced(None, "east", "c1", owned, relayed), "ZoneIngress") == []


def test_resource_that_is_not_to_be_synced_stays() -> None:
    labels = Labels.of({"kuma.io/kds-sync": "disabled"})
    kept = mesh_resource(TIMEOUT.key, labels, json.loads(TIMEOUT.body))
    found = sliced(None, "east", "c1", from_resources((MESH, kept)), EMPTY)
    assert names(found, "MeshTimeout") == []


def test_private_signing_keys_of_zones_and_users_never_travel() -> None:
    secrets = [
        made("GlobalSecret", "", name, {"data": "eA=="})
        for name in ("zone-token-signing-key-1", "user-token-signing-key-1", "envoy-admin-ca")
    ]
    public = made("GlobalSecret", "", "zone-token-signing-public-key-1", {"data": "eA=="})
    found = sliced(None, "east", "c1", from_resources((MESH, public, *secrets)), EMPTY)
    assert names(found, "GlobalSecret") == ["zone-token-signing-public-key-1"]


def test_unchanged_types_keep_their_very_mapping() -> None:
    first = sliced(None, "east", "c1", OWNED, EMPTY)
    other = made("MeshTimeout", "default", "t", {"to": [{"default": {"idleTimeout": "2s"}}]})
    second = sliced(first, "east", "c2", from_resources((MESH, other)), EMPTY)
    assert second.types["Mesh"] is first.types["Mesh"]
    assert second.types["MeshTimeout"] is not first.types["MeshTimeout"]
    assert second.types[MANIFEST] is not first.types[MANIFEST]


def test_commit_without_effect_changes_the_manifest_alone() -> None:
    first = sliced(None, "east", "c1", OWNED, EMPTY)
    second = sliced(first, "east", "c2", OWNED, EMPTY)
    changed = [t for t in first.types if second.types[t] is not first.types[t]]
    assert changed == [MANIFEST]


def digests_of(staged: Mapping[str, Mapping[str, str]]) -> Callable[[str], str]:
    return lambda type_: versions_digest(staged.get(type_, {}))


def staged(found: Slice, types: tuple[str, ...]) -> dict[str, dict[str, str]]:
    return {t: {n: r.version for n, r in found.types[t].items()} for t in types}


def revision_of(state: MeshState, commit: str) -> Slice:
    return sliced(None, "east", commit, state, EMPTY)


def test_manifest_matches_its_own_revision_only() -> None:
    """Half of a commit never matches: neither the old types with the new, nor one missing."""
    types = tuple(t for t in GLOBAL_TO_ZONE_TYPES if t not in RELAYED_TYPES)
    other = made("MeshTimeout", "default", "t", {"to": [{"default": {"idleTimeout": "2s"}}]})
    permission = made("MeshTrafficPermission", "default", "p", {"from": []})
    one = revision_of(OWNED, "c1")
    two = revision_of(from_resources((MESH, other, permission)), "c2")
    (frame,) = two.types[MANIFEST].values()
    wanted = parse_manifest(frame.entry)
    assert wanted.revision == "c2"
    assert matches(wanted, digests_of(staged(two, types)))
    assert not matches(wanted, digests_of(staged(one, types)))
    mixed = staged(two, types) | {"MeshTimeout": staged(one, types)["MeshTimeout"]}
    assert not matches(wanted, digests_of(mixed))
    missing = {t: v for t, v in staged(two, types).items() if t != "MeshTrafficPermission"}
    assert not matches(wanted, digests_of(missing))


def test_type_of_a_newer_global_holds_up_no_revision() -> None:
    """This zone never asks for it, so it can never be here."""
    types = tuple(t for t in GLOBAL_TO_ZONE_TYPES if t not in RELAYED_TYPES)
    one = revision_of(OWNED, "c1")
    (frame,) = one.types[MANIFEST].values()
    wanted = parse_manifest(frame.entry)
    newer = Manifest("c1", {**wanted.digests, "MeshNovelty": "a digest of something"})
    assert matches(newer, digests_of(staged(one, types)))


@pytest.mark.parametrize(
    "change",
    [
        {"proxies": []},
        {"proxies": {"total": "many"}},
        {"rejected": [[]]},
        {"rejected": ["text"]},
        {"rejected": 3},
    ],
)
def test_report_of_another_form_ends_the_stream(change: dict[str, object]) -> None:
    whole = decode_entry(REPORT, encode_report("east", ConvergenceReport("c1")).entry)
    body = canonical_json({**whole.data, **change})
    with pytest.raises(RemoteProtocolError, match=REPORT):
        parse_report(encode_carried(replace(whole, body=body)).entry)


def test_report_comes_back_as_it_went() -> None:
    rejection = Rejection("default", "default.web-1", "Listener", "no", ("MeshTimeout default/t",))
    report = ConvergenceReport("c1", 3, 1, 1, 1, (rejection,))
    assert parse_report(encode_report("east", report).entry) == report


def carried(type_: str, data: Any, **labels: str) -> CarriedResource:
    found = {f"kuma.io/{key}": value for key, value in labels.items()}
    return CarriedResource(type_, "default", "x", found, canonical_json(data))


def test_zone_takes_only_what_is_the_globals() -> None:
    assert accept_from_global("MeshTimeout", carried("MeshTimeout", {}, origin="global")) is None
    assert accept_from_global("MeshTimeout", carried("MeshTimeout", {}, origin="zone"))
    assert accept_from_global("MeshTimeout", carried("MeshTimeout", {}))
    assert accept_from_global("Mesh", carried("Mesh", {})) is None  # No zone may own one.


def test_what_a_zone_sends_is_pinned_to_the_zone_that_proved_itself() -> None:
    data = {
        "networking": {"port": 1},
        "availableServices": [{"tags": {"kuma.io/zone": "east", "kuma.io/service": "a"}}],
    }
    found = accept_from_zone("east", carried("ZoneIngress", data))
    assert isinstance(found, CarriedResource)
    assert found.labels == {"kuma.io/origin": "zone", "kuma.io/zone": "east"}
    assert found.data == {**data, "zone": "east"}


NETWORKING = {
    "address": "10.0.0.1",
    "port": 10001,
    "advertisedAddress": "203.0.113.7",
    "advertisedPort": 10001,
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"networking": {**NETWORKING, "advertisedPort": 70_000}}, "advertisedPort"),
        ({"networking": {**NETWORKING, "advertisedAddress": ""}}, "go together"),
        ({"networking": {**NETWORKING, "advertisedAddress": "no host"}}, "DNS name"),
        ({"networking": {}}, "networking"),
        ({"availableServices": [{"mesh": "default", "tags": {"a": "b"}}]}, "tag has to exist"),
        (
            {
                "availableServices": [
                    {"tags": {"kuma.io/service": "web"}, "instances": 4_294_967_295}
                ]
            },
            "instances",
        ),
    ],
)
def test_ingress_that_would_harm_the_other_zones_is_refused(
    change: dict[str, object], words: str
) -> None:
    """Their proxies would refuse the endpoints of every service it offers."""
    good = replace(carried("ZoneIngress", {"networking": NETWORKING}), mesh="")
    assert not isinstance(accept_from_zone("east", good), str)
    bad = replace(good, body=canonical_json({**good.data, **change}))
    refused = accept_from_zone("east", bad)
    assert isinstance(refused, str)
    assert words in refused


def test_what_all_zones_are_told_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Mock(side_effect=canonical_json)
    monkeypatch.setattr(module, "canonical_json", written)
    digests = dict.fromkeys(OWNED_TYPES, "1")
    for number in range(40):
        found = parse_manifest(module.manifest(f"zone-{number}", "for-forty", digests).entry)
        assert (found.revision, found.digests) == ("for-forty", digests)
    assert written.call_count == 1
    others = {**digests, "MeshTimeout": "2"}
    assert parse_manifest(module.manifest("zone-0", "for-forty", others).entry).digests == others
