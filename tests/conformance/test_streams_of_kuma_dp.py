"""ADS and HDS as the Envoy of a kuma-dp 2.14 sees them: facts/dataplane-wire.md 7.2, 7.3 and 7.5,
1.8 and 1.11. Byte by byte, behind the zone's one port, with policies of a Kuma global.
"""

from __future__ import annotations

import ssl
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from cryptography import x509

from tests.support.joined import MtlsMesh, signing_key
from tests.support.kuma_dp import FEATURES, EnvoyPeer, instances
from tests.support.kuma_tokens import dataplane_token, zone_token
from tests.support.kuma_zone import bytes_of, ending, read
from tests.support.protobuf_wire import fields, message, text
from tests.support.raw_frames import CDS, EDS, LDS, SDS
from tests.support.zone import INGRESS, dataplane
from xds.build.clusters import EJECTION_BASE
from xds.server import OPTIONS

if TYPE_CHECKING:
    from tests.support.protobuf_wire import Fields

pytestmark = pytest.mark.timeout(60)
WEB = dataplane("web-1", "web", "backend")
BACKEND = dataplane("backend-1", "backend", address="10.0.0.2")
IDENTITY, CA = "identity_cert:secret:default", "mesh_ca:secret:default"
BOTH = pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])


# --- 7.2: the start of an Envoy ---


@BOTH
async def test_a_starting_envoy_is_answered_in_its_own_order(mesh: MtlsMesh, delta: bool) -> None:
    """Every name it asks for: what has no answer delays readiness by 15 s."""
    envoy = await mesh.envoy(WEB, delta=delta)
    told = await envoy.start()
    assert {"backend", "localhost:8080", "kuma:envoy:admin"} <= told[CDS].resources.keys()
    assert told[EDS].resources.keys() == {"backend"}, "also of a service without instances"
    assert told[SDS].resources.keys() == {IDENTITY, CA}
    assert {"inbound:10.0.0.1:80", "outbound:127.0.0.1:10001"} <= told[LDS].resources.keys()
    assert len({answer.nonce for answer in told.values()}) == 4
    if not delta:
        assert all(answer.version for answer in told.values())


@BOTH
async def test_lists_are_answered_also_when_they_are_empty(mesh: MtlsMesh, delta: bool) -> None:
    """Nothing configured is fine, unanswered is not."""
    egress = {
        "type": "ZoneEgress",
        "name": "out",
        "networking": {"address": "10.0.0.7", "port": 10002},
    }
    told, token = await mesh.bootstrap(egress)
    ports = ("admin.port", "admin.socketPath", "readinessReporter.port")
    for key in (f"dataplane.{port}" for port in ports):
        told["node"]["metadata"].pop(key, None)
    envoy = EnvoyPeer.of(mesh.channel, told, token, delta=delta)
    for type_url, names in ((CDS, set[str]()), (LDS, {"inbound:10.0.0.7:10002"})):
        await envoy.ask(type_url, first=type_url == CDS)
        found = await envoy.read()
        assert (found.type_url, set(found.resources)) == (type_url, names)
        assert found.nonce
        await envoy.ack(found)


async def test_an_idle_ingress_has_its_listener(mesh: MtlsMesh) -> None:
    envoy = await mesh.envoy(INGRESS)
    assert envoy.node_id == ".ingress"
    told = await envoy.start()
    listener = told[LDS].resources["inbound:10.0.0.9:10001"]
    assert len(listener[3]) >= 1, "Envoy refuses a listener without filter chains"


async def test_what_else_kuma_dp_polls_is_not_there_and_disturbs_nothing(mesh: MtlsMesh) -> None:
    """No listener of dynamic configuration, which it tolerates; no sink without an access log."""
    features = [*FEATURES, "feature-embedded-dns", "feature-unified-resource-naming"]
    envoy = await mesh.envoy(WEB, features=features)
    told = await envoy.start()
    names = (*told[LDS].resources, *told[CDS].resources)
    assert not [name for name in names if "dynamicconfig" in name or "metrics" in name]
    assert len(told[LDS].resources) == 3


# --- 7.3: what traffic needs ---


async def test_secrets_have_their_material_inline_and_no_matchers(mesh: MtlsMesh) -> None:
    envoy = await mesh.envoy(WEB)
    told = (await envoy.start())[SDS]
    identity, ca = told.resources[IDENTITY], told.resources[CA]
    assert identity.keys() == {1, 2}, "a name and a TLS certificate"
    certificate = message(identity, 2)
    chain, key = (bytes_of(message(certificate, field), 2) for field in (1, 2))
    assert chain.startswith(b"-----BEGIN CERTIFICATE-----")
    assert b"PRIVATE KEY-----" in key
    assert ca.keys() == {1, 4}, "a name and a validation context"
    context = message(ca, 4)
    assert context.keys() == {1}, "its trusted CA alone"
    pem = bytes_of(message(context, 1), 2)
    ssl.create_default_context(cadata=pem.decode())
    leaf = x509.load_pem_x509_certificate(chain)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    uris = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    assert names.critical, "because the subject is empty"
    assert uris == [
        "spiffe://default/web",
        "kuma://kuma.io/protocol/http",
        "kuma://kuma.io/service/web",
        "kuma://kuma.io/zone/east",
    ]


@BOTH
async def test_endpoints_follow_every_changed_cluster_unasked(mesh: MtlsMesh, delta: bool) -> None:
    """The request that Envoy repeats looks like an ACK; in delta there is none."""
    envoy = await mesh.envoy(WEB, delta=delta)
    told = await envoy.start()
    for connect in ("6s", "7s"):
        await mesh.change(connect)
        found = [await envoy.read(), await envoy.read()]
        assert [answer.type_url for answer in found] == [CDS, EDS]
        assert "backend" in found[0].resources
        assert found[1].resources == told[EDS].resources, "although they are what they were"
        await envoy.ack(found[0])
        if not delta:  # With the version that it has: an ACK by its looks.
            await envoy.ask(EDS, "backend", version=told[EDS].version, nonce=told[EDS].nonce)
        await envoy.ack(found[1], "backend")


@BOTH
async def test_a_new_instance_is_told_at_once(mesh: MtlsMesh, delta: bool) -> None:
    await (await mesh.envoy(BACKEND)).start()
    envoy = await mesh.envoy(WEB, delta=delta)
    assert instances((await envoy.start())[EDS]) == {"10.0.0.2"}
    await (await mesh.envoy(dataplane("backend-2", "backend", address="10.0.0.3"))).start()
    assert instances(await envoy.read()) == {"10.0.0.2", "10.0.0.3"}


@BOTH
async def test_a_rejection_is_kept_and_its_cure_is_sent(mesh: MtlsMesh, delta: bool) -> None:
    """A NACK has the version that still counts, and the nonce of what it rejects."""
    envoy = await mesh.envoy(WEB, delta=delta)
    told = await envoy.start()
    await mesh.change("6s")
    clusters, endpoints = await envoy.read(), await envoy.read()
    await envoy.ack(endpoints, "backend")
    await envoy.ask(CDS, version=told[CDS].version, nonce=clusters.nonce, error="backend: no")
    plane = mesh.joined.zone.plane

    def rejects() -> bool:
        return plane.state.proxies["default.web-1"].ads.rejects

    await mesh.joined.zone.until(rejects)
    await mesh.change("7s")
    cure, again = await envoy.read(), await envoy.read()
    assert (cure.type_url, again.type_url) == (CDS, EDS)
    assert "backend" in cure.resources
    await envoy.ack(cure)
    await envoy.ack(again, "backend")
    await mesh.change("8s")
    assert (await envoy.read()).type_url == CDS
    assert not rejects()


async def test_a_subscription_grows_before_its_first_answer_was_read(mesh: MtlsMesh) -> None:
    """Twice with an empty nonce, as for secrets; the late ACK of the first has a stale nonce."""
    envoy = await mesh.envoy(WEB)
    await envoy.ask(CDS, first=True)
    await envoy.ack(await envoy.read())
    await envoy.ask(SDS, IDENTITY)
    await envoy.ask(SDS, IDENTITY, CA)
    told: dict[str, Fields] = {}
    first = await envoy.read()
    told |= first.resources
    await envoy.ack(first, IDENTITY)
    await envoy.ask(SDS, IDENTITY, CA, version=first.version, nonce=first.nonce)
    while told.keys() != {IDENTITY, CA}:
        found = await envoy.read()
        told |= found.resources
        await envoy.ack(found, IDENTITY, CA)
    await envoy.ask(LDS)
    assert (await envoy.read()).type_url == LDS


# --- 1.8: a stream that comes back ---


async def test_who_comes_back_in_state_of_the_world_is_answered_although_nothing_changed(
    mesh: MtlsMesh,
) -> None:
    """Its first request of a type has the version that it accepted, and an empty nonce."""
    told, token = await mesh.bootstrap(WEB)
    before = EnvoyPeer.of(mesh.channel, told, token)
    had = await before.start()
    before.call.cancel()
    envoy = await reconnected(mesh, told, token)
    await envoy.ask(CDS, first=True, version=had[CDS].version)
    answers = [await envoy.read()]
    await envoy.ack(answers[0])
    for type_url, names in ((EDS, ["backend"]), (SDS, [IDENTITY, CA]), (LDS, [])):
        await envoy.ask(type_url, *names, version=had[type_url].version)
        answers.append(await envoy.read())
        await envoy.ack(answers[-1], *names)
    assert [a.type_url for a in answers] == [CDS, EDS, SDS, LDS]
    assert [a.version for a in answers] == [had[a.type_url].version for a in answers]


async def test_who_comes_back_in_delta_is_sent_the_difference(mesh: MtlsMesh) -> None:
    """It says what it holds: an answer without resources is enough."""
    told, token = await mesh.bootstrap(WEB)
    before = EnvoyPeer.of(mesh.channel, told, token, delta=True)
    await before.ask(CDS, first=True)
    data = fields(await read(before.call))
    entries = [message(data, 2, at) for at in range(len(data[2]))]
    held = {text(entry, 3): text(entry, 1) for entry in entries}
    before.call.cancel()
    envoy = await reconnected(mesh, told, token, delta=True)
    await envoy.ask(CDS, first=True, initial=held)
    found = await envoy.read()
    assert (dict(found.resources), found.removed) == ({}, ())
    await envoy.ack(found)
    await envoy.ask(EDS, "backend", initial={"backend": "another"})
    assert (await envoy.read()).resources.keys() == {"backend"}


async def reconnected(mesh: MtlsMesh, told: Any, token: str, *, delta: bool = False) -> EnvoyPeer:
    """A stream once the zone knows that the one before is over."""
    await gone(mesh)
    return EnvoyPeer.of(mesh.channel, told, token, delta=delta)


async def gone(mesh: MtlsMesh) -> None:
    plane = mesh.joined.zone.plane
    await mesh.joined.zone.until(lambda: not plane.state.streams)


# --- 7.5: refusals ---


async def refused(envoy: EnvoyPeer) -> tuple[grpc.StatusCode, str]:
    await envoy.ask(CDS, first=True)
    return await ending(envoy.call)


async def test_a_second_stream_of_a_proxy_is_refused_and_the_first_stays(
    mesh: MtlsMesh,
) -> None:
    told, token = await mesh.bootstrap(WEB)
    first = EnvoyPeer.of(mesh.channel, told, token)
    await first.start()
    code, words = await refused(EnvoyPeer.of(mesh.channel, told, token))
    assert code is grpc.StatusCode.UNKNOWN
    assert words == "there is already an active stream from this node, try again later"
    await mesh.change("9s")
    assert (await first.read()).type_url == CDS


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        (
            {"Name": "backend-1", "Mesh": "default"},
            "authentication failed: proxy name from requestor: web-1 is different than in token: "
            "backend-1",
        ),
        ({"Name": "web-1", "Mesh": "other"}, "authentication failed: "),
        ({"Tags": {"kuma.io/service": ["backend"]}}, "authentication failed: "),
        ({"Workload": "shop"}, "authentication failed: "),
    ],
)
async def test_a_token_of_another_proxy_ends_the_stream(
    mesh: MtlsMesh, claims: dict[str, object], words: str
) -> None:
    told, _ = await mesh.bootstrap(WEB)
    token = dataplane_token(signing_key(), claims)
    code, found = await refused(EnvoyPeer.of(mesh.channel, told, token))
    assert code is grpc.StatusCode.UNKNOWN
    assert found.startswith(words)


@pytest.mark.parametrize("kid", ["2", "0"])
async def test_a_token_of_an_unknown_key_ends_the_stream(mesh: MtlsMesh, kid: str) -> None:
    told, _ = await mesh.bootstrap(WEB)
    token = dataplane_token(signing_key(), {"Mesh": "default"}, kid)
    code, words = await refused(EnvoyPeer.of(mesh.channel, told, token))
    assert code is grpc.StatusCode.UNKNOWN
    assert words.startswith("authentication failed: ")


async def test_claims_that_name_the_proxy_let_it_in(mesh: MtlsMesh) -> None:
    """Values of a tag are a list, of which the proxy's own must be one; nothing named is any."""
    told, _ = await mesh.bootstrap(WEB)
    everything: dict[str, object] = {
        "Name": "web-1",
        "Mesh": "default",
        "Tags": {"kuma.io/service": ["web", "shop"]},
    }
    for claims in (everything, {}):
        token = dataplane_token(signing_key(), claims)
        envoy = EnvoyPeer.of(mesh.channel, told, token)
        await envoy.ask(CDS, first=True)
        assert (await envoy.read()).type_url == CDS
        envoy.call.cancel()
        await gone(mesh)


@pytest.mark.parametrize(("zone", "scope"), [("west", "ingress"), ("east", "egress")])
async def test_a_zone_token_counts_for_its_zone_and_scope(
    mesh: MtlsMesh, zone: str, scope: str
) -> None:
    told, _ = await mesh.bootstrap(INGRESS)
    token = zone_token(signing_key(), zone, scope)
    code, words = await refused(EnvoyPeer.of(mesh.channel, told, token))
    assert code is grpc.StatusCode.UNKNOWN
    assert words.startswith("authentication failed: ")


async def test_a_node_must_say_who_it_is(mesh: MtlsMesh) -> None:
    """Without metadata, or with an id that is not its resource's."""
    told, token = await mesh.bootstrap(WEB)
    node = told["node"]
    for name, metadata in ((node["id"], {}), ("default.other", node["metadata"])):
        envoy = EnvoyPeer(mesh.channel, token, name, "web", metadata)
        code, words = await refused(envoy)
        assert code is not grpc.StatusCode.OK
        assert words


@pytest.mark.parametrize("address", ["10.9.9.9", "169.254.169.254"])
async def test_a_proxy_does_not_become_a_relay_by_its_admin_address(
    mesh: MtlsMesh, address: str
) -> None:
    told, token = await mesh.bootstrap(WEB, workdir="")
    told["node"]["metadata"]["dataplane.admin.address"] = address
    code, words = await refused(EnvoyPeer.of(mesh.channel, told, token))
    assert code is not grpc.StatusCode.OK
    assert words.startswith("dataplane.admin.address: ")


# --- 1.1: the connection ---


def test_pings_of_an_envoy_are_taken_and_a_frozen_one_is_noticed() -> None:
    told = {name.removeprefix("grpc."): value for name, value in OPTIONS}
    assert told["http2.min_ping_interval_without_data_ms"] <= 10_000
    assert told["http2.max_ping_strikes"] == 0
    assert told["keepalive_permit_without_calls"] == 1
    assert told["max_concurrent_streams"] == 1_000_000
    assert told["http2.ping_timeout_ms"] == told["keepalive_timeout_ms"]
    dead_within = timedelta(milliseconds=told["keepalive_time_ms"] + told["keepalive_timeout_ms"])
    assert dead_within < EJECTION_BASE  # Its callers try it again after that.
