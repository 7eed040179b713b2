"""The hash suffix against Kuma's own names (facts: kds-wire 4.1)."""

from __future__ import annotations

import pytest

from reconciler.kds.names import hashed_name, resource_name, wire_name
from reconciler.model.resource import DISPLAY_NAME, NAMESPACE, ZONE, Labels

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
