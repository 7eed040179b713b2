"""The hash suffix against Kuma's own names (facts: kds-wire 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.decode import mesh_resource
from reconciler.kds.codec import decode_entry, encode_carried
from reconciler.kds.names import hashed_name, resource_name, wire_name
from reconciler.kds.upward import zone_carried
from reconciler.keys.secret_store import FileSecrets
from reconciler.keys.system_resources import SystemResources
from reconciler.model.resource import (
    DISPLAY_NAME,
    NAMESPACE,
    ORIGIN,
    ZONE,
    Labels,
    MeshResource,
    ResourceKey,
)
from reconciler.state import EMPTY, from_resources
from reconciler.steps import global_state as g
from tests.support.global_plane import Global
from tests.support.slices import sliced
from xds.discovery import DeltaRequest, DeltaResponse

if TYPE_CHECKING:
    from pathlib import Path

VECTORS = (
    ("default", "redis-zone-1", "zone-1", None, "redis-zone-1-2v6wfvvcvbc9f55d"),
    ("default", "redis-zone-2", "zone-2", None, "redis-zone-2-ff29vc4685c6f594"),
    ("default", "default-timeout-zone-1", "zone-1", None,
     "default-timeout-zone-1-c58w24w4vw27f454"),
    ("default", "default-timeout-global", None, None, "default-timeout-global-54dbd4c66zwbcf9c"),
    ("default", "backend", "east", None, "backend-d2622w4zxzdb6cfw"),
    ("default", "backend", "east", "kuma-demo", "backend-4dv9w4x47w8w98v4"),
    ("default", "dp-1", "east", None, "dp-1-wb46b5z544d4w7zf"),
    ("", "ingress-1", "east", None, "ingress-1-dfx2d8846584xwc7"),
    ("default", "allow-all", None, None, "allow-all-6cf46w7x6f445w75"),
    ("default", "allow-all", None, "kuma-system", "allow-all-f66969zcw898b8fc"),
    ("default", "all-services-default", None, None, "all-services-default-wv4b46z9d8z49284"),
    ("", "synced-universal-mesh-service", None, None,
     "synced-universal-mesh-service-46484vczc724vc29"),
)  # fmt: skip


@pytest.mark.parametrize(("mesh", "name", "zone", "namespace", "expected"), VECTORS)
def test_hash_suffix_is_kumas(
    mesh: str, name: str, zone: str | None, namespace: str | None, expected: str
) -> None:
    given = {ZONE: zone, NAMESPACE: namespace}
    labels = Labels.of({key: value for key, value in given.items() if value is not None})
    assert hashed_name(mesh, name, labels) == expected


def test_hashing_a_synced_resource_again_gives_the_same_name() -> None:
    labels = Labels.of({ZONE: "east", DISPLAY_NAME: "backend"})
    once = wire_name("MeshService", "default", "backend", labels)
    assert wire_name("MeshService", "default", once, labels) == once


@pytest.mark.parametrize("type_", ["Mesh", "Config", "Secret", "GlobalSecret"])
def test_four_types_keep_their_names(type_: str) -> None:
    assert wire_name(type_, "", "default", Labels()) == "default"


def test_long_names_are_cut_by_bytes() -> None:
    assert len(hashed_name("default", "a" * 250, Labels())) == 253


def test_global_scope_ends_in_a_dot() -> None:
    assert resource_name("", "default") == "default."


def service_of_kubernetes() -> MeshResource:
    """`backend` in namespace kuma-demo of zone east, as its control plane has it (facts 4.3)."""
    labels = {
        DISPLAY_NAME: "backend",
        "kuma.io/env": "kubernetes",
        "kuma.io/mesh": "default",
        NAMESPACE: "kuma-demo",
    }
    key = ResourceKey("MeshService", "default", "backend.kuma-demo")
    return mesh_resource(key, Labels.of(labels), {"ports": [{"port": 80}]}, '{"vips":[]}')


def test_a_namespaced_resource_travels_under_one_name_from_zone_to_zone() -> None:
    """The worked example: up, on the global, down to others and not back, and removed."""
    name = "backend-4dv9w4x47w8w98v4"
    up = zone_carried("east", service_of_kubernetes())
    assert encode_carried(up).name == f"{name}.default"
    plane = Global()
    plane.publish()
    for zone in ("east", "west"):
        plane.connect(zone)
        plane.deliver(g.ZoneSubscribed(f"{zone}-down", DeltaRequest("MeshService")))
    sent = DeltaResponse("MeshService", "1", (encode_carried(up),), ())
    plane.deliver(g.ZonePublished("east-up", sent))
    (held,) = plane.state.zones["east"].owned.of("MeshService")
    assert (held.key.name, held.labels.get(NAMESPACE)) == (name, "kuma-demo")
    assert plane.held("east", "MeshService") == set()
    assert plane.held("west", "MeshService") == {f"{name}.default"}
    shown = plane.state.sessions["west-down"].shown
    assert shown is not None
    down = decode_entry("MeshService", shown.types["MeshService"][f"{name}.default"].entry)
    assert down.name == name
    assert down.labels == {**up.labels, ORIGIN: "global", ZONE: "east"}
    assert down.status is None
    gone = DeltaResponse("MeshService", "2", (), (f"{name}.default",))
    plane.deliver(g.ZonePublished("east-up", gone))
    assert plane.held("west", "MeshService") == set()


def test_a_renamed_resource_keeps_its_name_for_display() -> None:
    """Added where there is none, or an empty one; a name that was given stays."""
    for given, shown in (({}, "t"), ({DISPLAY_NAME: ""}, "t"), ({DISPLAY_NAME: "T"}, "T")):
        policy = mesh_resource(ResourceKey("MeshTimeout", "default", "t"), Labels.of(given), {})
        (frame,) = (
            sliced(None, "east", "c1", from_resources([policy]), EMPTY)
            .types["MeshTimeout"]
            .values()
        )
        assert decode_entry("MeshTimeout", frame.entry).labels[DISPLAY_NAME] == shown


def test_types_that_keep_their_name_get_none_for_display() -> None:
    mesh = mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), {})
    (frame,) = sliced(None, "east", "c1", from_resources([mesh]), EMPTY).types["Mesh"].values()
    assert decode_entry("Mesh", frame.entry).labels == {ORIGIN: "global"}


def test_the_zone_tokens_public_key_shows_the_name_of_its_key(tmp_path: Path) -> None:
    """As Kuma's mapper leaves it: it is made from `zone-token-signing-key-1`, which stays."""
    made = SystemResources(FileSecrets(tmp_path)).resources(())
    (found,) = [r for r in made if r.key.type == "GlobalSecret"]
    assert found.key.name == "zone-token-signing-public-key-1"
    assert found.labels.items() == ((DISPLAY_NAME, "zone-token-signing-key-1"),)
