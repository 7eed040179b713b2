"""Our global as a zone of Kuma 2.14 sees it: the sequences of facts/kds-wire.md 9.1, 1.10 and 12.1,
byte by byte, from a peer with a codec of its own.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import grpc
import pytest

from reconciler.decode import mesh_resource
from reconciler.kds.admin import AdminKind, Question
from reconciler.kds.server import OPTIONS
from reconciler.model.resource import Labels, ResourceKey
from tests.support.kuma_seeds import CLUSTER_ID, seeded, timeout_named
from tests.support.kuma_zone import (
    ADMIN,
    DOWN,
    GLOBAL,
    UP,
    bytes_of,
    ending,
    first_node,
    kuma_zone,
    read,
    said,
)
from tests.support.protobuf_wire import fields, message, text
from tests.support.raw_frames import (
    GLOBAL_TO_ZONE,
    KUMA_RESOURCE,
    delta_request,
    number,
    part,
)

if TYPE_CHECKING:
    from tests.support.global_link import GlobalLink
    from tests.support.protobuf_wire import Fields

pytestmark = pytest.mark.timeout(60)


def plugin_spec(resource: Fields) -> object:
    spec = message(resource, 2)
    assert 1 not in spec, "the type URL of a plugin's spec is empty"
    return json.loads(bytes_of(spec, 2))


# --- 9.1: the handshake ---


async def test_a_zone_connects_as_it_was_seen_to(link: GlobalLink) -> None:
    """Six calls at once in any order; each of 45 types is answered once, with nonces that count
    over all types, and acknowledged by the node's id alone.
    """
    async with kuma_zone(link) as made:
        down, up = made.open(DOWN), made.open(UP)
        admin = [made.open(f"{GLOBAL}{method}") for method in ADMIN]
        assert await made.health() == part(1, number(1, 60))
        await made.subscribe(down, *GLOBAL_TO_ZONE)
        answers = [await made.take(down) for _ in GLOBAL_TO_ZONE]
        assert sorted(a.type_url for a in answers) == sorted(GLOBAL_TO_ZONE)
        assert [a.nonce for a in answers] == [str(n) for n in range(1, 46)]
        assert {a.identifier for a in answers} == {"global"}
        assert {(a.system_version, a.removed) for a in answers} == {("", ())}
        link.publish(*seeded(), timeout_named("t", 2000))
        change = await made.take(down)  # Nothing came between: an ACK has no answer.
        assert (change.type_url, change.nonce) == ("MeshTimeout", "46")
        assert not any(call.done() for call in (down, up, *admin))


async def test_resources_have_the_form_that_a_zone_reads(link: GlobalLink) -> None:
    async with kuma_zone(link) as made:
        types = ("Mesh", "Config", "Secret", "GlobalSecret", "MeshTimeout")
        _, told = await made.joined(*types)
        names = {type_: told[type_].names for type_ in types}
        assert names["Mesh"] == ("default.",)
        assert names["Config"] == ("kuma-cluster-id.",)
        assert names["Secret"] == ("dataplane-token-signing-key-default-1.default",)
        assert names["GlobalSecret"] == ("zone-token-signing-public-key-1.",)
        (hashed,) = names["MeshTimeout"]
        assert hashed.startswith("t-")
        assert hashed.endswith(".default")
        for type_ in types:
            entry = told[type_].entries[0]
            assert text(message(entry, 2), 1) == KUMA_RESOURCE
            assert text(entry, 1), "a version is any text but an empty one"
            assert 3 not in told[type_].resource(), "a status is left out on this way"
            assert told[type_].labels()["kuma.io/origin"] == "global"
        meta = message(told["MeshTimeout"].resource(), 1)
        assert f"{text(meta, 1)}.{text(meta, 2)}" == hashed
        assert told["MeshTimeout"].labels()["kuma.io/display-name"] == "t"
        assert 2 not in message(told["Mesh"].resource(), 1)  # global scope has no mesh
        for type_, package in (("Mesh", "mesh"), ("Config", "system"), ("Secret", "system")):
            spec = message(told[type_].resource(), 2)
            assert text(spec, 1) == f"type.googleapis.com/kuma.{package}.v1alpha1.{type_}"
        config = fields(bytes_of(message(told["Config"].resource(), 2), 2))
        assert text(config, 1) == CLUSTER_ID
        public = fields(bytes_of(message(told["GlobalSecret"].resource(), 2), 2))
        assert bytes_of(message(public, 1), 1).startswith(b"-----BEGIN RSA PUBLIC KEY-----")
        assert plugin_spec(told["MeshTimeout"].resource())


@pytest.mark.parametrize(
    "type_", ["MadeUp", "type.googleapis.com/kuma.mesh.v1alpha1.Mesh", "DataplaneInsight"]
)
async def test_a_type_that_is_not_provided_is_answered_empty(link: GlobalLink, type_: str) -> None:
    async with kuma_zone(link) as made:
        call, told = await made.joined(type_, "Mesh")
        assert (told[type_].names, told[type_].removed) == ((), ())
        assert not call.done()


async def test_a_first_request_without_names_means_all(link: GlobalLink) -> None:
    async with kuma_zone(link) as made:
        call = made.open(DOWN)
        await call.write(delta_request("Mesh", of=first_node("kuma-1")))
        assert said(await read(call)).names == ("default.",)


# --- 1.10: changes, and the answers to them ---


async def test_a_change_and_an_addition_come_together_and_a_removal_by_its_wire_name(
    link: GlobalLink,
) -> None:
    async with kuma_zone(link) as made:
        call, told = await made.joined("MeshTimeout")
        (first,) = told["MeshTimeout"].names
        link.publish(*seeded(), timeout_named("t", 2000), timeout_named("u", 1))
        both = await made.take(call)
        assert len(both.names) == 2
        assert first in both.names
        link.publish(*seeded(), timeout_named("u", 1))
        gone = await made.take(call)
        assert (gone.names, gone.removed) == ((), (first,))


@pytest.mark.parametrize("nonce", ["", "no such nonce"])
async def test_nothing_of_a_type_is_sent_before_it_is_answered(
    link: GlobalLink, nonce: str
) -> None:
    """Whatever nonce the answer has; what changed meanwhile comes as one difference."""
    async with kuma_zone(link) as made:
        call = made.open(DOWN)
        await made.subscribe(call, "MeshTimeout", "Mesh")
        answers = {a.type_url: a for a in [said(await read(call)), said(await read(call))]}
        await made.ack(call, answers["Mesh"])
        for milliseconds in (2000, 3000, 4000):
            link.publish(*seeded(), timeout_named("t", milliseconds))
        await made.subscribe(call, "MeshRetry")
        assert said(await read(call)).type_url == "MeshRetry"  # And no MeshTimeout before it.
        await made.ack(call, answers["MeshTimeout"], nonce)
        late = await made.take(call)
        assert "4000ms" in json.dumps(plugin_spec(late.resource()))
        assert late.type_url == "MeshTimeout"


async def test_what_a_zone_refused_is_not_repeated_and_its_cure_is_sent(link: GlobalLink) -> None:
    async with kuma_zone(link) as made:
        call, _ = await made.joined("MeshTimeout", "MeshRetry")
        link.publish(*seeded(), timeout_named("t", 2000))
        await made.nack(call, said(await read(call)), "spec.to[0]: not this one")
        retry = {"to": [{"targetRef": {"kind": "Mesh"}, "default": {"http": {"numRetries": 1}}}]}
        other = mesh_resource(ResourceKey("MeshRetry", "default", "r"), Labels(), retry)
        link.publish(*seeded(), timeout_named("t", 2000), other)
        assert (await made.take(call)).type_url == "MeshRetry"
        link.publish(*seeded(), timeout_named("t", 2001), other)
        assert "2001ms" in json.dumps(plugin_spec((await made.take(call)).resource()))


async def test_an_empty_nonce_is_answered_at_once_with_the_difference_alone(
    link: GlobalLink,
) -> None:
    async with kuma_zone(link) as made:
        call, _ = await made.joined("MeshTimeout")
        await made.subscribe(call, "MeshTimeout")
        again = await made.take(call)
        assert (again.type_url, again.names, again.removed) == ("MeshTimeout", (), ())


async def test_a_repeated_answer_is_no_question(link: GlobalLink) -> None:
    """The guard of 1.10, item 9: it brings back a lost watch, and nothing is sent for it."""
    async with kuma_zone(link) as made:
        call, told = await made.joined("MeshTimeout", "Mesh")
        for _ in range(3):
            await made.ack(call, told["MeshTimeout"])
        await made.subscribe(call, "MeshRetry")
        assert (await made.take(call)).type_url == "MeshRetry"
        link.publish(*seeded(), timeout_named("t", 2000))
        assert (await made.take(call)).type_url == "MeshTimeout"


async def test_a_zone_that_connects_anew_is_sent_everything_and_its_old_stream_disturbs_nothing(
    link: GlobalLink,
) -> None:
    async with kuma_zone(link) as made, kuma_zone(link) as again:
        old, first = await made.joined("MeshTimeout")
        new, second = await again.joined("MeshTimeout")
        assert second["MeshTimeout"].names == first["MeshTimeout"].names
        assert second["MeshTimeout"].nonce == "1"
        old.cancel()
        link.publish(*seeded(), timeout_named("t", 2000))
        assert (await again.take(new)).names == first["MeshTimeout"].names


# --- 1.2, 1.3, 1.12: how a connection is kept and ended ---


async def test_a_global_that_stops_ends_every_stream_with_another_status_than_ok(
    link: GlobalLink,
) -> None:
    """OK would leave a zone connected and deaf (9.1, item 10)."""
    async with kuma_zone(link) as made:
        calls = [made.open(method) for method in (DOWN, UP, *(f"{GLOBAL}{m}" for m in ADMIN))]
        for call in calls:
            await call.initial_metadata()
        assert link.plane.kds is not None
        await link.plane.kds.stop(0.1)
        for call in calls:
            assert (await ending(call))[0] is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("method", [DOWN, UP, *(f"{GLOBAL}{method}" for method in ADMIN)])
async def test_who_names_no_zone_is_told_so_by_every_call(link: GlobalLink, method: str) -> None:
    async with link.channel() as channel:
        opened: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(method)
        code, words = await ending(opened(metadata=(("kds-version", "v3"),)))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert words == '"client-id" is not present in metadata'


def test_pings_of_a_kuma_zone_are_taken_and_a_frozen_one_is_noticed() -> None:
    """It pings every 15 s; by gRPC's own defaults it would be cut off at the third."""
    told = {name.removeprefix("grpc."): value for name, value in OPTIONS}
    assert told["http2.min_ping_interval_without_data_ms"] <= 10_000
    assert told["http2.max_ping_strikes"] == 0
    assert told["keepalive_permit_without_calls"] == 1
    dead_within = ("keepalive_time_ms", "keepalive_timeout_ms", "http2.ping_timeout_ms")
    assert [told[name] for name in dead_within] == [15_000] * 3


# --- 7: the admin streams ---


@pytest.mark.parametrize("method", ADMIN)
async def test_the_admin_streams_are_held_open_and_wait(link: GlobalLink, method: str) -> None:
    """What nobody asked for is no reason to end one (a Kuma global would)."""
    async with kuma_zone(link) as made:
        call = made.open(f"{GLOBAL}{method}")
        await call.initial_metadata()
        await call.write(part(1, "an id nobody waits for") + part(3, b"{}"))
        down, _ = await made.joined("Mesh")
        assert not call.done()
        assert not down.done()


async def test_questions_arrive_and_their_answers_count_in_any_order(link: GlobalLink) -> None:
    """A Kuma zone answers each under its id; a body that is empty has neither of the two fields."""
    assert link.plane.kds is not None
    desk = link.plane.kds.admin
    async with kuma_zone(link) as made:
        call = made.open(f"{GLOBAL}StreamXDSConfigs")
        await call.initial_metadata()
        names = ("dp-1", "dp-2", "dp-3")
        asking = [
            asyncio.create_task(desk.ask("kuma-1", about(name, AdminKind.CONFIG))) for name in names
        ]
        asked = {text(found, 3): found for found in [fields(await read(call)) for _ in names]}
        for name, question in asked.items():
            assert question.keys() == {1, 2, 3, 4, 5}
            assert (text(question, 2), text(question, 4)) == ("Dataplane", "default")
            assert question[5] == [1], "endpoints are wanted"
            assert name in names
        for name, rest in (("dp-3", b""), ("dp-1", part(3, b"{}")), ("dp-2", part(2, "gone"))):
            await call.write(part(1, text(asked[name], 1)) + rest)
        answers = [await task for task in asking]
        assert [(a.body, a.error) for a in answers] == [(b"{}", ""), (b"", "gone"), (b"", "")]


def about(name: str, kind: AdminKind) -> Question:
    return Question(kind=kind, type="Dataplane", name=name, mesh="default", include_eds=True)
