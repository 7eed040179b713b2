"""The OpenAPI document is complete, and true: what it says is what is answered, at a global and at
a zone, whatever a client sends that fits it or does not.
"""

from __future__ import annotations

import json
import re
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from reconciler.api.rest_server import QUERY_MAX
from reconciler.rest.endpoints import ENDPOINTS
from reconciler.rest.form import text_of
from reconciler.rest.openapi import described
from reconciler.rest.paths import SHOWN
from tests.support.rest import global_catalogue, zone_catalogue
from tests.support.rest_server import rest_api

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.rest.catalogue import Catalogue

# By name: whoever has not installed the development requirements anew can still type-check.
schemathesis: Any = import_module("schemathesis")
CHECKS = import_module("schemathesis.checks")
ASGI: Any = import_module("schemathesis.python.asgi")
SECONDS_MAX = 45.0  # of CPU, of one control plane's run
EXAMPLES = {"GET": 2, "PUT": 1, "DELETE": 1, "POST": 15}  # of one operation
CATALOGUES = {"global": global_catalogue, "zone": zone_catalogue}
DOCUMENT = described("1.0")
TRUE = (
    CHECKS.not_a_server_error,
    CHECKS.status_code_conformance,
    CHECKS.content_type_conformance,
    CHECKS.response_schema_conformance,
    CHECKS.response_headers_conformance,
)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("mode", CATALOGUES)
def test_what_the_document_says_is_what_is_answered(mode: str) -> None:
    """A schema-driven tester sends requests that fit the document, with names that exist and names
    that do not; each answer has a status, a media type and a body that the document knows.
    """
    api = rest_api(CATALOGUES[mode]())
    headers = {"Authorization": "Bearer boss"}
    schema = schemathesis.openapi.from_asgi("/openapi.json", api.app(), headers=headers)
    if mode == "zone":  # Writes are decided by the same code.
        schema = schema.include(method="GET")
    began, tried = time.process_time(), set()
    names = known_names(CATALOGUES[mode]())
    with ASGI.get_client(api.app()) as client:
        client.headers.update(headers)
        for found in schema.get_all_operations():
            operation = found.ok()
            try_out(operation, client, names)
            tried.add((operation.method.lower(), operation.path))
            assert time.process_time() - began < SECONDS_MAX, f"{len(tried)} took too long"
    api.close()
    expected = {(method, path) for path, method, _ in operations()}
    itself = {("get", "/openapi.json")}  # which the tester has read to begin with
    assert tried | itself == {e for e in expected if mode == "global" or e[0] == "get"}


def test_the_tester_finds_a_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    lie = json.loads(json.dumps(DOCUMENT))
    good = lie["paths"]["/who-am-i"]["get"]["responses"]["200"]
    good["content"]["application/json"]["schema"] = {"type": "array"}
    monkeypatch.setattr("reconciler.rest.openapi.described", lambda _version: lie)
    app = rest_api(global_catalogue()).app()
    headers = {"Authorization": "Bearer boss"}
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers=headers)
    (found,) = schema.include(path="/who-am-i").get_all_operations()
    with ASGI.get_client(app) as client:
        client.headers.update(headers)
        with pytest.raises(BaseExceptionGroup) as failed:
            try_out(found.ok(), client, {})
    assert 'is not of type "array"' in str(failed.value.exceptions[0])


def operations() -> Iterator[tuple[str, str, Any]]:
    for path, of_path in DOCUMENT["paths"].items():
        for method, operation in of_path.items():
            if method != "parameters":
                yield path, method, operation


def try_out(operation: Any, client: Any, names: dict[str, list[str]]) -> None:
    @settings(
        max_examples=EXAMPLES[operation.method.upper()],
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(case=operation.as_strategy(), data=st.data())
    def attempt(case: Any, data: st.DataObject) -> None:
        for place in case.path_parameters or {}:
            known = names["mesh"] if place == "mesh" else names.get(kind_of(operation.path), [])
            names_here = st.sampled_from([*known, *known, *known, case.path_parameters[place]])
            case.path_parameters[place] = data.draw(names_here)
        response = case.call(session=client, timeout=60)
        case.validate_response(response, checks=TRUE)

    attempt()


def kind_of(path: str) -> str:
    """Of `/meshes/{mesh}/meshtimeouts/{name}`: `meshtimeouts`."""
    parts = path.split("/")
    return parts[parts.index("{name}") - 1] if "{name}" in parts else ""


def known_names(catalogue: Catalogue) -> dict[str, list[str]]:
    names = {kind.path: [r.key.name for r in catalogue.of(kind.name)] for kind in SHOWN}
    return {**names, "mesh": names["meshes"]}


@pytest.mark.parametrize("mode", CATALOGUES)
def test_every_resource_that_is_served_fits_its_schema(mode: str) -> None:
    catalogue, seen = CATALOGUES[mode](), 0
    for kind in SHOWN:
        schema = {
            "$ref": f"#/components/schemas/{kind.name}",
            "components": DOCUMENT["components"],
        }
        validator = Draft202012Validator(schema)
        for resource in catalogue.of(kind.name):
            validator.validate(json.loads(text_of(resource, catalogue.times(resource))))
            seen += 1
    assert seen > 40


def test_a_schema_refuses_what_is_not_served() -> None:
    """The test above would also hold for schemas that allow everything."""
    schema = {"$ref": "#/components/schemas/MeshTimeout", "components": DOCUMENT["components"]}
    head = {"type": "MeshTimeout", "mesh": "default", "name": "t"}
    validator = Draft202012Validator(schema)
    assert validator.is_valid({**head, "spec": {"to": []}})
    for wrong in ({}, {"spec": {"more": 1}}, {"spec": {"to": [{"default": {"idleTimeout": 5}}]}}):
        assert not validator.is_valid({**head, **wrong})
    assert not validator.is_valid({**head, "type": "MeshRetry", "spec": {}})


def test_all_that_is_referred_to_is_there() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for target in references(DOCUMENT):
        assert target.removeprefix("#/components/schemas/") in schemas, target


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
def test_every_endpoint_says_what_it_is(endpoint: Any) -> None:
    """What the document is made of."""
    assert endpoint.says.endswith(".")
    assert endpoint.says[0].isupper()
    assert re.fullmatch(r"(/[\w+-]+|/\{[a-z]+\})+|/|(/[\w.+-]+|/\{\w+\})+", endpoint.path)
    Draft202012Validator.check_schema(endpoint.returns)
    told = {"required", "$ref", "anyOf"} & endpoint.returns.keys()
    assert told, "any object fits this: say what is always there (answer.object_of)"
    names = [parameter.name for parameter in endpoint.query]
    assert len(set(names)) == len(names) < QUERY_MAX
    for parameter in endpoint.query:
        assert parameter.says.endswith("."), parameter.name
        Draft202012Validator.check_schema(parameter.schema)
    assert DOCUMENT["paths"][endpoint.path]["get"]["summary"] == endpoint.says


def test_no_two_operations_have_one_name() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(ids)) == len(ids) > 300
