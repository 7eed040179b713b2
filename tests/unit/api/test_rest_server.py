"""The HTTP API over real sockets: who may, what is refused how, limits, and hostile input."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import logging
import socket
import threading
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from reconciler.api import rest_server
from reconciler.api.json_body import BODY_MAX
from reconciler.api.rest_figures import ApiFigures
from reconciler.api.rest_sending import is_known, wants_gzip
from reconciler.api.rest_server import QUERY_MAX, WAITING_MAX, RestApi
from reconciler.api.serving import Attentive
from reconciler.decode import mesh_resource
from reconciler.figures import api_figures
from reconciler.model.resource import Labels, ResourceKey
from reconciler.rest.paths import SHOWN, spellings
from reconciler.state import from_resources
from tests.support.rest import global_catalogue
from tests.support.rest_server import (
    ALICE,
    BOSS,
    TIMEOUTS,
    Answered,
    Shown,
    raw,
    rest_api,
    serving,
    until,
)

# --- who may ---


async def test_without_a_good_token_nothing_is_read() -> None:
    async with serving() as ask:
        for headers in ({}, {"authorization": "Basic YTpi"}, {"authorization": "bearer alice"}):
            answer = await ask(TIMEOUTS, headers=headers)
            assert (answer.status, answer.json["title"]) == (401, "Unauthenticated")
            assert answer.headers["www-authenticate"] == "Bearer"
        answer = await ask(TIMEOUTS, headers={"authorization": "Bearer forged"})
        assert (answer.status, answer.json["title"]) == (401, "Invalid authentication data")
        assert answer.json["detail"] == "Unauthenticated: the token is not valid"
        assert (await ask(TIMEOUTS)).status == 200


async def test_keys_that_cannot_be_read_let_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    api = rest_api(global_catalogue(), anonymous=True)

    def away(_authorization: str | None) -> Any:
        raise PermissionError(13, "Permission denied", "/var/lib/reconciler/secrets")

    monkeypatch.setattr(api.source, "caller", away)
    async with serving(api) as ask:
        answer = await ask(TIMEOUTS)
        assert (answer.status, answer.json["detail"]) == (503, "Permission denied")
        assert (await ask("/")).status == 200


async def test_the_index_is_open_also_to_a_bad_token() -> None:
    """kumactl looks at it before it has a token."""
    async with serving() as ask:
        for headers in ({}, {"authorization": "Bearer forged"}, ALICE):
            answer = await ask("/", headers=headers)
            assert (answer.status, answer.json["product"]) == (200, "Kuma")


async def test_anonymous_reading_is_a_setting_and_opens_no_envoy() -> None:
    async with serving(rest_api(global_catalogue(), anonymous=True)) as ask:
        assert (await ask(TIMEOUTS, headers={})).status == 200
        assert (await ask("/who-am-i", headers={})).json["name"] == "mesh-system:anonymous"
        # A token that is not good is an attempt, and not nobody.
        assert (await ask(TIMEOUTS, headers={"authorization": "Bearer forged"})).status == 401
        answer = await ask("/meshes/default/dataplanes/web/xds", headers={})
        assert (answer.status, answer.json["title"]) == (403, "Access Denied")
        answer = await ask("/tokens/user", "POST", {}, b"{}")
        assert (answer.status, answer.json["title"]) == (403, "Access Denied")


async def test_secrets_are_in_no_answer() -> None:
    async with serving() as ask:
        for path in ("/meshes/default/secrets", "/secrets", "/globalsecrets", "/global-secrets"):
            answer = await ask(path, headers=BOSS)
            assert (answer.status, answer.json["items"]) == (200, [])
        for path in ("/meshes/default/secrets/pay-ca", "/globalsecrets/zone-token-signing-key-1"):
            assert (await ask(path, headers=BOSS)).status == 404


async def test_who_is_turned_away_is_counted_and_told_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    api = rest_api(global_catalogue())
    with caplog.at_level(logging.INFO, "tests.rest"):
        async with serving(api) as ask:
            for _ in range(5):
                await ask(TIMEOUTS, headers={"authorization": "Bearer forged"})
            await ask("/tokens/user", "POST", ALICE, b"{}")
    assert [record.getMessage() for record in caplog.records] == ["api.refused"]
    assert vars(caplog.records[0])["fields"]["peer"] == "127.0.0.1"
    figures = {f.name: dict(f.samples) for f in api_figures(api.counted.figures)}
    assert figures["reconciler_api_denied"] == {
        (("reason", "busy"),): 0,
        (("reason", "forbidden"),): 1,
        (("reason", "unauthenticated"),): 5,
    }
    assert figures["reconciler_api_answers"][(("class", "4xx"),)] == 6
    assert figures["reconciler_api_seconds"][()] > 0


def test_a_later_line_counts_those_since_the_last(caplog: pytest.LogCaptureFixture) -> None:
    figures = ApiFigures(logging.getLogger("tests.rest"))
    with caplog.at_level(logging.INFO, "tests.rest"):
        for _ in range(3):
            figures.denied("unauthenticated", "192.0.2.1", "no token was sent")
        figures._said -= 61
        figures.denied("forbidden", "192.0.2.2", "bob is no administrator")
    counts = [vars(record)["fields"]["count"] for record in caplog.records]
    assert counts == [1, 3]


# --- tokens ---


async def test_tokens_are_for_administrators_where_they_are_issued_at_all() -> None:
    body = json.dumps({"name": "carol", "validFor": "1h"}).encode()
    api = rest_api(global_catalogue())
    async with serving(api) as ask:
        answer = await ask("/tokens/user", "POST", ALICE, body)
        assert (answer.status, answer.json["title"]) == (403, "Access Denied")
        answer = await ask("/tokens/user", "POST", BOSS, body)
        assert (answer.status, answer.body) == (200, b"header.claims.signature")
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.headers["cache-control"] == "no-store"
        assert (await ask("/tokens/user", headers=BOSS)).headers["allow"] == "POST"
    source = api.source
    assert isinstance(source, Shown)
    assert [wanted.claims for wanted in source.issued] == [{"Name": "carol", "Groups": []}]


async def test_tokens_are_not_issued_unless_somebody_said_so() -> None:
    async with serving(rest_api(global_catalogue(), issues=False)) as ask:
        answer = await ask("/tokens/zone", "POST", BOSS, b"{}")
        assert answer.status == 400
        assert "`reconciler token zone-proxy`" in answer.json["detail"]
        assert "--api-issue-tokens on" in answer.json["detail"]


async def test_a_token_that_was_issued_is_in_the_log_and_its_text_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "tests.rest"):
        async with serving() as ask:
            await ask("/tokens/dataplane", "POST", BOSS, b'{"mesh":"default","name":"web"}')
    (record,) = caplog.records
    fields = vars(record)["fields"]
    assert (record.getMessage(), fields["whose"], fields["by"]) == (
        "api.issued",
        "default/web",
        "boss",
    )
    assert "signature" not in str(vars(record))


# --- the protocol ---


async def test_an_answer_that_is_known_is_not_sent_again() -> None:
    async with serving() as ask:
        first = await ask(TIMEOUTS)
        assert first.headers["etag"].startswith('W/"c1-')
        again = await ask(TIMEOUTS, headers={**ALICE, "if-none-match": first.headers["etag"]})
        assert (again.status, again.body) == (304, b"")
        other = await ask(TIMEOUTS, headers={**ALICE, "if-none-match": 'W/"c0-0"'})
        assert other.status == 200
        refused = await ask(TIMEOUTS, headers={"if-none-match": "*"})
        assert refused.status == 401


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ('W/"a"', True),
        ('"a"', True),
        ('"b", W/"a"', True),
        ("*", True),
        ('"b"', False),
        ("", False),
    ],
)
def test_if_none_match_is_compared_weakly(given: str, known: bool) -> None:
    assert is_known(given, 'W/"a"') is known


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("GZIP", True),
        ("", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*;q=0", False),
        ("*, gzip;q=0", False),
        ("identity", False),
        ("xgzip", False),
        (";;q=,", False),
    ],
)
def test_gzip_is_used_where_it_is_wanted(given: str, wanted: bool) -> None:
    assert wants_gzip(given) is wanted


async def test_a_large_answer_comes_whole_plain_or_squeezed() -> None:
    async with serving() as ask:
        plain = await ask("/_resources")
        squeezed = await ask("/_resources", headers={**ALICE, "accept-encoding": "gzip"})
        assert "content-encoding" not in plain.headers
        assert squeezed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(squeezed.body) == plain.body
        assert plain.headers["vary"] == squeezed.headers["vary"] == "accept-encoding"
        assert int(plain.headers["content-length"]) == len(plain.body)


async def test_head_says_what_get_would_and_sends_nothing() -> None:
    async with serving() as ask:
        got, head = await ask(TIMEOUTS), await ask(TIMEOUTS, "HEAD")
        assert (head.status, head.body) == (200, b"")
        for name in ("etag", "content-length", "content-type"):
            assert head.headers[name] == got.headers[name]


@pytest.mark.parametrize("accept", ["text/html", "application/yaml", "", "*/*", "application/json"])
async def test_what_is_asked_for_as_something_else_is_json(accept: str) -> None:
    async with serving() as ask:
        answer = await ask(TIMEOUTS, headers={**ALICE, "accept": accept})
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")


async def test_a_trailing_slash_is_passed_over() -> None:
    async with serving() as ask:
        assert (await ask(f"{TIMEOUTS}/")).json["total"] == (await ask(TIMEOUTS)).json["total"]


@pytest.mark.parametrize(
    "path", ["/nothing", "/meshes/default/nothing", "/metrics", "/gui", "/%00"]
)
async def test_what_is_not_served_is_told_as_json(path: str) -> None:
    async with serving() as ask:
        answer = await ask(path)
        assert (answer.status, answer.json["title"]) == (404, "Not found")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_a_method_that_is_not_answered_is_told_which_are(method: str) -> None:
    async with serving() as ask:
        answer = await ask(TIMEOUTS, method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
        assert answer.json["status"] == 405


HOSTILE = [
    "/meshes/%2F..%2F/meshtimeouts/x",
    "/meshes/default/meshtimeouts/%00",
    "/meshes/default/meshtimeouts/%ff%fe",
    "/meshes/default/meshtimeouts/a%2Fb",
    "/meshes/default/meshtimeouts/" + "x" * 20_000,
    "/meshes/%ed%a0%80/meshtimeouts",
    "/_kri/kri_mt_____",
    "/_kri/%00",
    f"{TIMEOUTS}?size=0",
    f"{TIMEOUTS}?size=1001",
    f"{TIMEOUTS}?size=" + "9" * 5000,
    f"{TIMEOUTS}?size=000000001" + "0" * 5000,
    f"{TIMEOUTS}?offset=-1",
    f"{TIMEOUTS}?offset=" + "9" * 5000,
    f"{TIMEOUTS}?offset=%F0%9D%9F%99",
    f"{TIMEOUTS}?offset=1e9",
    f"{TIMEOUTS}?filter[labels.a",
    f"{TIMEOUTS}?filter[name]=x",
    f"{TIMEOUTS}?%ff=%00&format=k8s",
    f"{TIMEOUTS}?" + "&".join(f"a{n}=1" for n in range(QUERY_MAX + 1)),
    "/meshes/default/dataplanes?gateway=maybe",
    "/meshes/default/dataplanes?tag=%00:%ff",
    "/meshes/default/meshtimeouts/timeouts?format=xml",
    "/service-insights?type=%00",
]


@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_paths_and_queries_are_answered_and_never_a_fault(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as ask:
        for method in ("GET", "PUT", "DELETE"):
            answer = await ask(path, method, ALICE, b"{}" if method == "PUT" else None)
            assert answer.status in (200, 400, 404, 405), answer.body
            assert answer.json["status"] == answer.status if answer.status != 200 else True
    assert not caplog.records


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /\xff HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /meshes\x00 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer \xff\xfe\r\n\r\n",
        b'GET /meshes HTTP/1.1\r\nhost: \xff"<>\r\nauthorization: Bearer alice\r\n\r\n',
        b"GET / HTTP/1.1\r\n" + b"a: " + b"b" * 70_000 + b"\r\n\r\n",
        b"GET /meshes HTTP/1.1\r\nhost: [\r\nauthorization: Bearer alice\r\n\r\n",
        b"GET /nothing HTTP/1.1\r\nhost: [::\r\n\r\n",
        b"PUT /meshes/x HTTP/1.1\r\nhost: a:b:c\r\nauthorization: Bearer alice\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"PUT /meshes/default HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
    ],
    ids=range(10),
)
async def test_bytes_that_are_no_request_end_at_the_edge(
    request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as ask:
        answer = await raw(ask.port, request_ + b"\r\n")  # type: ignore[attr-defined]
        assert answer[:13] in (
            *(f"HTTP/1.1 {status} ".encode() for status in (200, 400, 404, 405)),
            b"",
        )
        assert (await ask("/")).status == 200
    assert not [r for r in caplog.records if r.exc_info]


async def test_every_collection_refuses_writes_under_all_of_its_names() -> None:
    """Whoever asks, and whatever is there: PUT and DELETE are 405 with our words."""
    paths = [
        f"/meshes/nowhere/{path}/x" if kind.mesh_scoped else f"/{path}/x"
        for kind in SHOWN
        for path in spellings(kind)
    ]
    assert len(paths) == 55  # 53 kinds, two of them with a second spelling

    def refused(port: int) -> list[str]:
        wrong = []
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            for path in paths:
                for method in ("PUT", "DELETE"):
                    connection.request(method, path, b"{}", BOSS)
                    answer = Answered(connection.getresponse())
                    if (answer.status, answer.json["title"]) != (405, "Read only"):
                        wrong.append(f"{method} {path}: {answer.status}")
        return wrong

    async with serving() as ask:
        assert await asyncio.to_thread(refused, ask.port) == []  # type: ignore[attr-defined]


# --- limits ---


async def test_a_query_has_a_hundred_parameters_at_most() -> None:
    async with serving() as ask:
        pairs = [f"a{number}=1" for number in range(QUERY_MAX + 1)]
        assert (await ask(f"{TIMEOUTS}?{'&'.join(pairs[1:])}")).status == 200
        answer = await ask(f"{TIMEOUTS}?{'&'.join(pairs)}")
        assert (answer.status, answer.json["detail"]) == (400, "over 100 parameters")


async def test_a_body_over_its_limit_is_not_read() -> None:
    async with serving() as ask:
        headers = {**ALICE, "content-length": str(BODY_MAX + 1)}
        answer = await ask(f"{TIMEOUTS}/x", "PUT", headers, b"{}")
        assert (answer.status, answer.json["title"]) == (413, "Too large")


async def test_a_crowd_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is over the limit waits for nobody; who is within it is answered."""
    monkeypatch.setattr(rest_server, "WAITING_MAX", 4)
    api, gate = rest_api(global_catalogue()), threading.Event()
    source = api.source
    assert isinstance(source, Shown)
    known = source.caller

    def slowly(authorization: str | None) -> Any:
        gate.wait(20)
        return known(authorization)

    monkeypatch.setattr(source, "caller", slowly)
    async with serving(api) as ask:
        waiting = [asyncio.create_task(ask(TIMEOUTS)) for _ in range(4)]
        await until(lambda: api.counted.waiting == 4)
        busy = await ask(TIMEOUTS)
        assert (busy.status, busy.json["title"], busy.headers["retry-after"]) == (503, "Busy", "1")
        gate.set()
        assert {(await task).status for task in waiting} == {200}
    assert api.counted.busy == 1
    assert api.counted.waiting == 0
    assert WAITING_MAX == 64  # as the pages say


async def test_nothing_is_shown_before_a_revision_is_in_force() -> None:
    async with serving(rest_api(None)) as ask:
        answer = await ask(TIMEOUTS)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")


def large() -> RestApi:
    """A list of some megabytes."""
    spec = {"to": [{"targetRef": {"kind": "Mesh"}, "default": {"idleTimeout": "1h"}}]}
    keys = [ResourceKey("MeshTimeout", "default", f"{n:05}{'x' * 2000}") for n in range(1500)]
    held = from_resources(mesh_resource(key, Labels(), spec) for key in keys)
    shown = global_catalogue()
    return rest_api(replace(shown, layers=(*shown.layers[:1], held), items_max=9999))


async def test_who_reads_slowly_holds_nobody_up_and_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Attentive, "ANSWER_S", 5.0)
    api = large()
    async with serving(api) as ask:
        with socket.create_connection(("127.0.0.1", ask.port)) as slow:  # type: ignore[attr-defined]
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.sendall(f"GET {TIMEOUTS} HTTP/1.1\r\nhost: a\r\n".encode())
            slow.sendall(b"authorization: Bearer alice\r\n\r\n")
            await until(lambda: api.sending.held)
            one = api.sending.held
            assert (await ask(TIMEOUTS)).json["total"] == 1501
            monkeypatch.setattr(api.sending, "held_max", one + 1000)
            assert (await ask(TIMEOUTS)).status == 503
            await until(lambda: not api.sending.held)
        assert (await ask(TIMEOUTS)).status == 200


async def test_a_fault_of_ours_ends_one_request_and_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    api = rest_api(replace(global_catalogue(), layers=(None,)))  # type: ignore[arg-type]
    with caplog.at_level(logging.INFO, "tests.rest"):
        async with serving(api) as ask:
            answer = await ask(TIMEOUTS)
            assert (answer.status, answer.json["title"]) == (500, "Internal Server Error")
            assert "AttributeError" not in answer.json["detail"]
            assert (await ask("/")).status == 200
    assert [record.getMessage() for record in caplog.records] == ["api.answer_failed"]
