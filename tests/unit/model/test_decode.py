"""Plain data as specs: addresses as Kuma derives them, and no guesses."""

from __future__ import annotations

import pytest

from reconciler.decode import decode_resource, mesh_resource
from reconciler.legacy_fields import read_legacy
from reconciler.model.decode import (
    DecodeError,
    Fields,
    decode_mesh,
    lifetime_s,
)
from reconciler.model.decode_proxies import decode_dataplane, decode_zone_ingress
from reconciler.model.resource import Labels, ResourceKey
from reconciler.model.spec import Inbound, OpaqueSpec, RefDestination, TagDestination
from reconciler.model.targetref import (
    DataplaneRef,
    MeshRef,
    MeshSubsetRef,
    RouteRef,
    ServiceRef,
    ServiceSubsetRef,
    TargetRef,
    target_ref,
)

TAGS = {"kuma.io/service": "shop", "kuma.io/protocol": "http"}


def inbound(networking: Fields, **fields: object) -> Inbound:
    entry = {"port": 18080, "tags": TAGS, **fields}
    return decode_dataplane({"networking": {**networking, "inbound": [entry]}}).inbounds[0]


def test_an_inbound_without_addresses_is_where_the_dataplane_is() -> None:
    found = inbound({"address": "10.0.0.7"})
    assert (found.address, found.port) == ("10.0.0.7", 18080)
    assert (found.workload_address, found.workload_port) == ("10.0.0.7", 18080)
    assert found.advertised_address == "10.0.0.7"
    assert (found.name, found.protocol, found.service) == ("18080", "http", "shop")


def test_each_address_of_an_inbound_can_be_given() -> None:
    found = inbound(
        {"address": "10.0.0.7", "advertisedAddress": "203.0.113.7"},
        address="10.0.0.8", serviceAddress="127.0.0.1", servicePort=8080, name="main",
        protocol="grpc",
    )  # fmt: skip
    assert (found.address, found.advertised_address) == ("10.0.0.8", "203.0.113.7")
    assert (found.workload_address, found.workload_port) == ("127.0.0.1", 8080)
    assert (found.name, found.protocol) == ("main", "grpc")


@pytest.mark.parametrize(
    ("fields", "healthy"),
    [
        ({}, True),
        ({"state": "Ready"}, True),
        ({"state": "NotReady"}, False),
        ({"state": "Ignored"}, False),
        ({"health": {"ready": True}}, True),
        ({"health": {"ready": False}}, False),
        ({"health": {}}, False),
        ({"state": "NotReady", "health": {"ready": True}}, False),
    ],
)
def test_health_is_state_and_the_older_field(fields: Fields, healthy: bool) -> None:
    assert inbound({"address": "10.0.0.7"}, **fields).healthy is healthy


def test_outbounds_are_tags_or_a_real_resource() -> None:
    spec = decode_dataplane(
        {
            "networking": {
                "address": "10.0.0.7",
                "outbound": [
                    {"port": 1, "tags": {"kuma.io/service": "stock"}},
                    {"port": 2, "backendRef": {"kind": "MeshService", "name": "s", "port": 80}},
                ],
            }
        }
    )
    assert [outbound.destination for outbound in spec.outbounds] == [
        TagDestination((("kuma.io/service", "stock"),)),
        RefDestination("MeshService", "s", 80),
    ]
    assert spec.outbounds[0].address == "127.0.0.1"


def test_a_mesh_is_open_without_an_enabled_backend() -> None:
    assert decode_mesh({}).mtls is None
    assert decode_mesh({}).passthrough
    assert decode_mesh({"mtls": {"backends": [{"name": "a", "type": "builtin"}]}}).mtls is None


def test_a_backend_has_its_lifetimes_and_kuma_defaults() -> None:
    plain = {"name": "a", "type": "builtin"}
    full = {
        **plain,
        "mode": "PERMISSIVE",
        "dpCert": {"rotation": {"expiration": "2d"}},
        "conf": {"caCert": {"RSAbits": 3072.0, "expiration": "1y"}},
    }
    for backend, expected in (
        (plain, (False, 86400, 2048, 10 * 365 * 86400)),
        (full, (True, 2 * 86400, 3072, 365 * 86400)),
    ):
        found = decode_mesh({"mtls": {"enabledBackend": "a", "backends": [backend]}}).mtls
        assert found is not None
        assert expected == (
            found.permissive,
            found.certificate_s,
            found.rsa_bits,
            found.ca_lifetime_s,
        )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1y", 31536000), ("2w", 1209600), ("3d", 259200), ("4h", 14400), ("5m", 300), ("6s", 6),
     ("7000ms", 7), ("0", 0), (None, 0)],
)  # fmt: skip
def test_lifetimes_have_one_unit(text: str | None, seconds: int) -> None:
    assert lifetime_s(text, "x") == seconds


@pytest.mark.parametrize("value", ["1h30m", "-1h", "1", "h", " 1h", "9" * 5000 + "y", 24, True])
def test_other_lifetimes_are_refused_with_their_path(value: object) -> None:
    with pytest.raises(DecodeError) as caught:
        lifetime_s(value, "dpCert.rotation.expiration")
    assert caught.value.path == "dpCert.rotation.expiration"


@pytest.mark.parametrize(
    ("type_", "data", "path"),
    [
        ("Mesh", {"mtls": {"enabledBackend": "x"}}, "mtls.enabledBackend"),
        ("Mesh", {"mtls": []}, "mtls"),
        (
            "Mesh",
            {"mtls": {"backends": [{"conf": {"caCert": {"RSAbits": "a"}}}]}},
            "mtls.backends[0].conf.caCert.RSAbits",
        ),
        ("Dataplane", {"networking": {"inbound": [1]}}, "networking.inbound[0]"),
        (
            "Dataplane",
            {"networking": {"inbound": [{"port": "80"}]}},
            "networking.inbound[0].port",
        ),
        (
            "Dataplane",
            {"networking": {"outbound": [{"tags": {"a": 1}}]}},
            "networking.outbound[0].tags.a",
        ),
        ("ZoneIngress", {"availableServices": [{"instances": "2"}]},
         "availableServices[0].instances"),
        ("Zone", {"enabled": "yes"}, "enabled"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_told_by_path(type_: str, data: Fields, path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_resource(type_, data)
    assert caught.value.path == path


def test_an_ingress_that_is_not_advertised_has_no_address_for_others() -> None:
    spec = decode_zone_ingress({"networking": {"address": "10.0.0.4", "port": 10001}})
    assert (spec.advertised_address, spec.advertised_port) == ("", 0)
    assert (spec.zone, spec.available_services) == ("", ())


def test_equal_documents_are_equal_resources_whatever_their_order() -> None:
    key = ResourceKey("Mesh", "", "m")
    one = mesh_resource(key, Labels(), {"routing": {"a": 1, "b": 2}, "mtls": {}})
    two = mesh_resource(key, Labels(), {"mtls": {}, "routing": {"b": 2, "a": 1}})
    assert one == two
    assert one.spec is two.spec


def test_a_kind_without_a_module_is_carried_as_it_is() -> None:
    found = mesh_resource(ResourceKey("MeshTLS", "m", "t"), Labels(), {"from": [{"x": None}]})
    assert found.spec == OpaqueSpec()
    assert found.body == '{"from":[{"x":null}]}'


def test_durations_of_a_mesh_take_the_form_of_its_message() -> None:
    backend = {"name": "a", "dpCert": {"requestTimeout": "1m30s"}, "rootChain": {}}
    data = {"mtls": {"enabledBackend": "a", "backends": [backend]}}
    normal, _ = read_legacy("Mesh", data)
    assert normal == {
        "mtls": {
            "enabledBackend": "a",
            "backends": [{**backend, "dpCert": {"requestTimeout": "90.000000s"}}],
        }
    }
    assert backend["dpCert"] == {"requestTimeout": "1m30s"}, "the document is not changed"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, MeshRef()),
        ({"kind": "Mesh", "proxyTypes": ["Gateway"]}, MeshRef(("Gateway",))),
        (
            {"kind": "Dataplane", "labels": {"a": "b"}, "sectionName": "80"},
            DataplaneRef(Labels((("a", "b"),)), section="80"),
        ),
        ({"kind": "MeshSubset", "tags": {"a": "b"}}, MeshSubsetRef(Labels((("a", "b"),)))),
        ({"kind": "MeshService", "name": "s"}, ServiceRef("MeshService", "s")),
        ({"kind": "MeshServiceSubset", "name": "s"}, ServiceSubsetRef("s")),
        ({"kind": "MeshHTTPRoute", "name": "r"}, RouteRef("r")),
    ],
)
def test_target_refs_are_one_class_a_kind(data: Fields, expected: TargetRef) -> None:
    assert target_ref(data) == expected


def test_a_target_of_no_kind_is_refused() -> None:
    with pytest.raises(DecodeError, match='there is no kind "Pod"'):
        target_ref({"kind": "Pod"})


@pytest.mark.parametrize(
    "spec",
    [
        {"from": [{"default": {"action": None}}]},
        {"from": [{"default": []}]},
        {"from": [{"default": {"action": "Sometimes"}}]},
    ],
)
def test_a_policy_that_no_schema_would_pass_is_refused_not_a_fault(spec: Fields) -> None:
    """A zone may send anything; the global goes on."""
    with pytest.raises(DecodeError):
        decode_resource("MeshTrafficPermission", spec)
