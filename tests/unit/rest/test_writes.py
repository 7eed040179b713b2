"""What is written is refused with the place to change, and what means the same is no change."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from reconciler.limits import NESTING_MAX
from reconciler.model.kinds import KINDS
from reconciler.model.resource import ResourceKey
from reconciler.rest import writes
from reconciler.rest.answer import Refused
from reconciler.rest.form import text_of
from reconciler.rest.meaning import means_same
from tests.support.golden_frames import documents
from tests.support.rest import ALICE, FROM_ZONES, IN_GIT, asked, global_catalogue, zone_catalogue

CATALOGUES = {"global": global_catalogue, "zone": zone_catalogue}
HELD = [
    (mode, type_) for mode in CATALOGUES for type_ in IN_GIT if mode == "global" or type_ != "Mesh"
]


def served(mode: str, type_: str) -> list[dict[str, Any]]:
    catalogue = CATALOGUES[mode]()
    return [json.loads(text_of(r, catalogue.times(r))) for r in catalogue.of(type_)]


def put(mode: str, document: Any, key: dict[str, Any] | None = None) -> tuple[int, str]:
    """Status and words of the answer to a PUT at the document's own place."""
    at = key or document
    places = {name: at[name] for name in ("mesh", "name") if name in at}
    try:
        answer = writes.put(CATALOGUES[mode](), at["type"], asked("/x", document, ALICE, **places))
    except Refused as refused:
        return refused.status, refused.detail
    return answer.status, answer.body.decode().strip()


@pytest.mark.parametrize(("mode", "type_"), HELD)
def test_what_is_served_can_be_put_back(mode: str, type_: str) -> None:
    found = served(mode, type_)
    assert found
    assert {put(mode, document) for document in found} == {(200, "{}")}


@pytest.mark.parametrize("type_", FROM_ZONES)
def test_what_a_zone_told_can_be_put_back_at_the_global(type_: str) -> None:
    found = served("global", type_)
    assert found
    assert {put("global", document) for document in found} == {(200, "{}")}


def test_a_proxy_that_registered_can_be_put_back_as_kumactl_writes_it() -> None:
    """Without what is empty, which its zone keeps."""
    (document, *_) = served("zone", "Dataplane")
    assert document["networking"]["outbound"] == []
    del document["networking"]["outbound"]
    assert put("zone", document) == (200, "{}")
    document["networking"]["address"] = "10.9.9.9"
    assert put("zone", document)[0] == 405


@pytest.mark.parametrize("type_", IN_GIT)
def test_a_file_of_the_repository_can_be_put_as_it_stands(type_: str) -> None:
    assert {put("global", document) for document in documents(type_)} == {(200, "{}")}


@pytest.mark.parametrize("type_", IN_GIT)
def test_every_changed_value_is_a_change(type_: str) -> None:
    """Each scalar of each document in turn: none is passed over."""
    for document in served("global", type_):
        changed = list(variants(document))
        assert changed
        for variant, path in changed:
            status, detail = put("global", variant, document)
            assert (status, path) == (405, path), detail


def variants(document: dict[str, Any]) -> Any:
    """The document with one of its scalars changed, and with one of its objects gone."""
    skip = {"type", "mesh", "name", "creationTime", "modificationTime", "kri", "status", "labels"}
    for path, value in scalars({k: v for k, v in document.items() if k not in skip}):
        if path[-1] in ("snis", "seconds", "nanos"):
            continue
        changed = json.loads(json.dumps(document))
        inner = changed
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = other(value)
        yield changed, path


def scalars(value: Any, path: tuple[Any, ...] = ()) -> Any:
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in children:
        if isinstance(inner, dict | list) and inner:
            yield from scalars(inner, (*path, key))
        else:
            yield (*path, key), inner


def other(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}1"
        case dict():
            return {"more": "1"}
        case _:
            return ["more"]


def logged_as(form: dict[str, Any]) -> dict[str, Any]:
    return {"to": [{"default": {"backends": [{"type": "File", "file": {"format": form}}]}}]}


def traced_by(zipkin: dict[str, Any]) -> dict[str, Any]:
    return {"default": {"backends": [{"type": "Zipkin", "zipkin": zipkin}]}}


def routed_to(backend: dict[str, Any]) -> dict[str, Any]:
    return {"to": [{"rules": [{"default": {"backendRefs": [backend]}}]}]}


@pytest.mark.parametrize(
    ("type_", "held", "given"),
    [
        ("MeshTimeout", {"idleTimeout": "1h"}, {"idleTimeout": "1h0m0s"}),
        ("MeshTimeout", {"a": 1}, {"a": 1, "b": None}),
        ("MeshAccessLog", logged_as({}), logged_as({"omitEmptyValues": False})),
        ("MeshTrace", traced_by({}), traced_by({"sharedSpanContext": True})),
        ("MeshHTTPRoute", routed_to({}), routed_to({"weight": 1})),
        ("MeshHTTPRoute", routed_to({"weight": None}), routed_to({})),
        ("MeshFaultInjection", {"delay": {"value": "90s"}}, {"delay": {"value": "1m30s"}}),
    ],
)
def test_what_a_client_writes_out_is_no_change(type_: str, held: object, given: object) -> None:
    assert means_same(type_, given, held)
    assert means_same(type_, held, given)


@pytest.mark.parametrize(
    ("type_", "held", "given"),
    [
        ("MeshCircuitBreaker", {"detectors": {}}, {"detectors": {"totalFailures": {}}}),
        ("MeshHTTPRoute", {"default": {}}, {"default": {"filters": []}}),
        ("MeshTrace", traced_by({}), traced_by({"sharedSpanContext": False})),
        ("MeshAccessLog", logged_as({}), logged_as({"omitEmptyValues": 0})),
        ("MeshTimeout", {"value": "1h"}, {"value": "60m"}),
        ("MeshTimeout", {"a": True}, {"a": 1}),
        ("MeshTimeout", {"a": [True]}, {"a": [1]}),
        ("MeshTimeout", {"idleTimeout": "1h"}, {"idleTimeout": "61m"}),
        ("MeshTimeout", {"format": {}}, {"format": {"omitEmptyValues": False}}),
        ("MeshTimeout", {"a": ""}, {}),
    ],
)
def test_what_means_something_else_is_a_change(type_: str, held: object, given: object) -> None:
    assert not means_same(type_, given, held)
    assert not means_same(type_, held, given)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"mesh": "other"},
        {"type": "MeshRetry"},
        {"labels": {"team": "other"}},
        {"labels": []},
        {"spec": []},
        {"spec": None},
        {"more": 1},
    ],
    ids=str,
)
def test_another_head_is_a_change(change: dict[str, Any]) -> None:
    (document,) = served("global", "MeshTimeout")
    assert put("global", {**document, **change}, document)[0] == 405


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"\xff\x00", b"null", b"[" * 10_000, b'{"a":' * (NESTING_MAX + 9)],
    ids=range(7),
)
def test_what_is_no_document_is_refused_as_a_change(body: bytes) -> None:
    (document,) = served("global", "MeshTimeout")
    assert put("global", body, document)[0] == 405


def test_who_writes_is_told_repository_branch_file_and_line() -> None:
    (document,) = served("global", "MeshTimeout")
    _, detail = put("global", {**document, "spec": {}}, document)
    place = "https://git.example/mesh.git, branch main, MeshTimeout.yaml:1:1"
    assert detail == f"change it in Git: {place}"
    new = {"type": "MeshTimeout", "mesh": "default", "name": "new"}
    assert put("global", new)[1].startswith("commit a file with it to https://git.example/mesh.git")


@pytest.mark.parametrize("mode", CATALOGUES)
@pytest.mark.parametrize("type_", [k for k in KINDS if k != "Config"])
def test_every_kind_is_refused_on_one_line(mode: str, type_: str) -> None:
    """Also what is not there: a mesh, a name. kumactl prints the words within a line."""
    key = ResourceKey(type_, "nowhere" if KINDS[type_].mesh_scoped else "", "nothing")
    places = {"mesh": key.mesh, "name": key.name}
    for does in (writes.put, writes.delete):
        with pytest.raises(Refused) as refused:
            does(CATALOGUES[mode](), type_, asked("/x", {"type": type_}, ALICE, **places))
        assert (refused.value.status, refused.value.title) == (405, "Read only")
        assert refused.value.detail.isprintable()
        assert refused.value.allow == "GET, HEAD"


@pytest.mark.parametrize("type_", FROM_ZONES)
def test_what_zones_make_is_theirs(type_: str) -> None:
    key = {"type": type_, "name": "x", **({"mesh": "default"} if KINDS[type_].mesh_scoped else {})}
    for mode in CATALOGUES:
        status, detail = put(mode, key)
        assert status == 405
        assert "is made by its zone" in detail


def test_a_default_of_the_mesh_is_overridden_by_a_file_of_its_name() -> None:
    shown = global_catalogue()
    held = replace(shown, places={})
    (document,) = served("global", "MeshTimeout")
    with pytest.raises(Refused, match="it is a default of its mesh: commit one of this name"):
        writes.delete(held, "MeshTimeout", asked(mesh="default", name=document["name"]))


def test_secrets_are_not_compared_with_what_somebody_sends() -> None:
    """Whoever could try values would learn the right one."""
    status, detail = put(
        "global", {"type": "Secret", "mesh": "default", "name": "pay-ca", "data": ""}
    )
    assert status == 405
    assert "secrets.yaml" in detail
