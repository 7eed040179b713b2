"""The zone's port as kuma-dp 2.14 sees it before it has an Envoy: facts/dataplane-wire.md 7.1 and
7.2, 1.1 to 1.3. Bytes of HTTP and TLS, on the door that proxies dial.
"""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from cryptography import x509

from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, ResourceKey
from tests.support.kuma_dp import ADS, asking, post, tls_to
from tests.support.raw_frames import CDS, part, sotw_request
from tests.support.zone import INGRESS, dataplane
from tests.support.zone_link import ZoneLink, zone_link

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(60)
MESH = mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), {})
WEB = dataplane("web-1", "web", "backend")


@pytest.fixture
async def zone(tmp_path: Path) -> AsyncIterator[ZoneLink]:
    async with zone_link(tmp_path) as made:
        made.restore(MESH)
        yield made


# --- 7.1: TLS, the certificate, the protocols of the port ---


async def test_the_certificate_is_for_every_local_name_and_its_ca_is_one(zone: ZoneLink) -> None:
    served = x509.load_pem_x509_certificate(zone.tls.cert_pem)
    names = served.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    assert {"127.0.0.1", "::1"} <= addresses
    authority = x509.load_pem_x509_certificate(zone.tls.ca_pem)
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


async def test_without_a_ca_of_its_own_a_proxy_gets_one_that_verifies_the_port(
    zone: ZoneLink,
) -> None:
    bootstrap = (await post(zone, asking(WEB, "a.b.c"))).bootstrap()
    (secret,) = bootstrap["staticResources"]["secrets"]
    pem = secret["validationContext"]["trustedCa"]["inlineString"]
    context = ssl.create_default_context(cadata=pem)
    assert (await post(zone, asking(WEB, "a.b.c"), context=context)).status == 200


@pytest.mark.parametrize("protocols", [(), ("http/1.1",)])
async def test_no_protocol_or_http_1_leads_to_the_bootstrap(
    zone: ZoneLink, protocols: tuple[str, ...]
) -> None:
    found = await post(zone, asking(WEB, "a.b.c"), context=tls_to(zone, *protocols))
    assert found.status == 200


async def test_tls_1_2_is_enough(zone: ZoneLink) -> None:
    context = tls_to(zone, at_most=ssl.TLSVersion.TLSv1_2)
    assert (await post(zone, asking(WEB, "a.b.c"), context=context)).status == 200


async def test_h2_leads_to_the_streams(zone: ZoneLink) -> None:
    """On the port of the bootstrap, which is the only one that Kuma has."""
    credentials = grpc.ssl_channel_credentials(zone.tls.ca_pem)
    async with grpc.aio.secure_channel(f"127.0.0.1:{zone.port}", credentials) as channel:
        call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(
            f"{ADS}StreamAggregatedResources"
        )(metadata=(("authorization", "none"),))
        await call.write(sotw_request(CDS, of=part(1, "default.web-1")))
        assert await call.code() is grpc.StatusCode.UNKNOWN
        assert await call.details()


# --- 1.2 and 1.3: request, answer, codes ---


async def test_the_answer_has_the_form_that_kuma_dp_reads(zone: ZoneLink) -> None:
    found = await post(zone, asking(WEB, "a.b.c"))
    assert found.status == 200
    assert found.headers["content-type"].startswith("application/json")
    told = json.loads(found.body)
    assert told.keys() == {"bootstrap", "kumaSidecarConfiguration"}
    sidecar = told["kumaSidecarConfiguration"]
    assert sidecar["networking"] == {"corefileTemplate": None, "address": "10.0.0.1"}
    assert sidecar["metrics"] == {"aggregate": []}
    bootstrap = found.bootstrap()
    assert bootstrap["node"]["id"] == "default.web-1"
    assert bootstrap["node"]["cluster"] == "web"
    metadata = bootstrap["node"]["metadata"]
    ports = ("dataplane.admin.port", "dataplane.dns.port", "dataplane.readinessReporter.port")
    assert [metadata[name] for name in ports] == ["9901", "15054", "9902"], "ports are texts"
    assert json.loads(metadata["dataplane.resource"])["name"] == "web-1"
    assert metadata["otelEnvInventory"] == {"pipeEnabled": True}
    assert "dataplane.appProbeProxy.enabled" not in metadata
    resources = bootstrap["dynamicResources"]
    assert resources["cdsConfig"]["initialFetchTimeout"] == "0s"
    assert resources["ldsConfig"]["initialFetchTimeout"] == "0s"
    ads = resources["adsConfig"]
    assert ads["apiType"] == "GRPC"
    assert ads["setNodeOnFirstMessageOnly"] is True
    (service,) = ads["grpcServices"]
    assert service["initialMetadata"] == [{"key": "authorization", "value": "a.b.c"}], "no Bearer"
    assert service["envoyGrpc"]["clusterName"] == "ads_cluster"
    assert bootstrap["hdsConfig"]["grpcServices"] == [service]
    pipe = bootstrap["admin"]["address"]["pipe"]
    assert pipe["path"] == "/tmp/kuma-dp-1/kuma-envoy-admin.sock"


async def test_what_kuma_dp_asks_for_is_what_it_gets(zone: ZoneLink) -> None:
    """Delta only where it is named; the application probe proxy under its inverted name."""
    changes: dict[str, Any] = {
        "features": ["feature-delta-grpc"],
        "appProbeProxyDisabled": True,
        "workdir": "",
    }
    bootstrap = (await post(zone, asking(WEB, "a.b.c", **changes))).bootstrap()
    assert bootstrap["dynamicResources"]["adsConfig"]["apiType"] == "DELTA_GRPC"
    assert bootstrap["node"]["metadata"]["dataplane.appProbeProxy.enabled"] == "true"
    address = bootstrap["admin"]["address"]["socketAddress"]
    assert (address["address"], address["portValue"]) == ("127.0.0.1", 9901)


async def test_a_zone_proxy_has_a_node_id_without_a_mesh_and_no_health_checks(
    zone: ZoneLink,
) -> None:
    bootstrap = (await post(zone, asking(INGRESS, "a.b.c"))).bootstrap()
    assert (bootstrap["node"]["id"], bootstrap["node"]["cluster"]) == (".ingress", "ingress")
    assert bootstrap["node"]["metadata"]["dataplane.proxyType"] == "ingress"
    assert "hdsConfig" not in bootstrap


def without_mesh() -> dict[str, Any]:
    return {**WEB, "mesh": "nowhere"}


async def test_codes_that_end_kuma_dp_are_for_what_its_user_must_change(zone: ZoneLink) -> None:
    """400 and 422 end it with the text; 400 for what is no JSON has none."""
    for body in (b"no json", b"[]", b""):
        found = await post(zone, body)
        assert (found.status, found.body) == (400, b"")
    foreign = await post(zone, asking(WEB, "a.b.c"), host="elsewhere.example")
    assert foreign.status == 400
    assert b"localhost" in foreign.body
    unprocessable: dict[bytes, dict[str, object]] = {
        b'mesh: mesh "nowhere" does not exist': asking(without_mesh(), "a.b.c"),
        b"token": asking(WEB, "", dataplaneTokenPath=""),
        b"networking.address": asking(
            {**WEB, "networking": {**WEB["networking"], "address": ""}}, "a.b.c"
        ),
    }
    for words, asked in unprocessable.items():
        found = await post(zone, asked)
        assert found.status == 422
        assert words in found.body
        assert found.headers["content-type"] == "text/plain; charset=utf-8"


async def test_codes_that_kuma_dp_waits_after_are_for_what_passes(tmp_path: Path) -> None:
    """404 with nothing in it, 5xx; never another 4xx for what is nobody's fault."""
    async with zone_link(tmp_path) as zone:
        found = await post(zone, asking(WEB, "a.b.c"))
        assert found.status == 503  # It has no policies yet.
        zone.restore(MESH)
        found = await post(zone, asking(WEB, "a.b.c", dataplaneResource=""))
        assert (found.status, found.body) == (404, b"")
        assert (await post(zone, asking(WEB, "a.b.c"))).status == 200


async def test_a_token_is_looked_at_on_the_stream_and_not_here(zone: ZoneLink) -> None:
    assert (await post(zone, asking(WEB, "no token at all"))).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
async def test_the_body_is_read_whatever_the_method(zone: ZoneLink, method: str) -> None:
    assert (await post(zone, asking(WEB, "a.b.c"), method=method)).status == 200


async def test_another_accept_gets_the_bare_document(zone: ZoneLink) -> None:
    found = await post(zone, asking(WEB, "a.b.c"), accept="*/*")
    assert found.headers["content-type"].startswith("text/x-yaml")
    assert json.loads(found.body)["node"]["id"] == "default.web-1"


async def test_a_redirected_proxy_names_no_outbounds(zone: ZoneLink) -> None:
    redirect = {"inbound": {"enabled": True, "port": 15006}, "outbound": {"enabled": True}}
    found = await post(zone, asking(WEB, "a.b.c", dataplaneConfig={"redirect": redirect}))
    assert found.status == 422
    assert found.body.startswith(b"outbound: ")
