"""Names that mixed zones must agree on: the sheet's vectors, and what makes names collide."""

from __future__ import annotations

import pytest

from xds import names


def test_a_cluster_of_the_whole_service_has_its_name() -> None:
    assert names.cluster_name((("kuma.io/service", "backend"),)) == "backend"


def test_a_subset_cluster_has_the_vector_of_a_real_zone() -> None:
    tags = (("kuma.io/service", "backend"), ("version", "v1"))
    assert names.cluster_name(tags) == "backend-154693772bc47249"
    assert names.cluster_name(tuple(reversed(tags))) == "backend-154693772bc47249"


@pytest.mark.parametrize(
    ("tags", "sni"),
    [
        ((("kuma.io/service", "backend"),), "backend{mesh=default}"),
        (
            (("kuma.io/service", "backend"), ("version", "v1")),
            "backend{mesh=default,version=v1}",
        ),
        (
            (("version", "v1"), ("kuma.io/service", "backend"), ("a", "1")),
            "backend{a=1,mesh=default,version=v1}",
        ),
    ],
)
def test_tag_sni_names_service_then_sorted_tags_and_mesh(
    tags: tuple[tuple[str, str], ...], sni: str
) -> None:
    assert names.tag_sni(tags, "default") == sni


@pytest.mark.parametrize(("address", "host"), [("10.0.0.1", "10.0.0.1"), ("fd00::1", "[fd00::1]")])
def test_listener_names_keep_address_and_port_apart(address: str, host: str) -> None:
    assert names.inbound_listener_name(address, 80) == f"inbound:{host}:80"
    assert names.outbound_listener_name(address, 80) == f"outbound:{host}:80"


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("localhost:8080", "localhost_8080"),
        ("inbound:127.0.5.4:52041", "inbound_127_0_5_4_52041"),
        ("back_end-2", "back_end-2"),
        ("dienst-ü", "dienst-_"),
    ],
)
def test_statistics_keep_only_safe_characters(name: str, prefix: str) -> None:
    assert names.stat_prefix(name) == prefix


def test_fixed_names() -> None:
    assert names.local_cluster_name(8080) == "localhost:8080"
    assert names.other_local_cluster_name(8080, "fd00::1", 80) == "localhost:8080:[fd00::1]:80"
    assert names.ingress_cluster_name("default", "backend") == "default:backend"
    assert names.spiffe_id("default", "backend") == "spiffe://default/backend"
    assert names.spiffe_prefix("default") == "spiffe://default/"
    assert names.tag_id("version", "v1") == "kuma://version/v1"
    assert names.identity_secret_name("default") == "identity_cert:secret:default"
    assert names.ca_secret_name("default") == "mesh_ca:secret:default"
    assert names.ADMIN_LISTENER == names.ADMIN_CLUSTER == "kuma:envoy:admin"


def test_the_identity_prefix_of_one_mesh_matches_no_other() -> None:
    """Envoy compares prefixes: without the slash, mesh `a` would let in mesh `ab`."""
    assert not names.spiffe_id("ab", "x").startswith(names.spiffe_prefix("a"))
