"""The OpenAPI document of the HTTP API, made of the table of endpoints and of the schemas of kinds:
it cannot say anything else than what is answered. Pure.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from reconciler.rest import resource_schemas
from reconciler.rest.answer import JSON, Endpoint, document
from reconciler.rest.endpoints import ENDPOINTS
from reconciler.rest.passthrough import ADMIN_KINDS, ADMIN_PATHS
from reconciler.rest.paths import SHOWN, spellings
from reconciler.rest.resource_schemas import ref
from reconciler.rest.token_requests import SCOPES, TOKEN_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.rest.answer import Answer, Asked, Parameter
    from reconciler.rest.catalogue import Catalogue

VERSION = "3.1.0"
TEXT = {"text/plain": {"schema": {"type": "string"}}}
_SPAN = {"type": "string", "description": "A duration such as 720h."}
_TEXT = {"type": "string", "maxLength": 1024}
_TEXTS = {"type": "array", "items": {**_TEXT, "minLength": 1}, "maxItems": 100}
TOKEN_BODIES: Mapping[str, Mapping[str, Any]] = {
    "dataplane": {
        "type": "object",
        "required": ["mesh"],
        "properties": {
            "mesh": {**_TEXT, "minLength": 1},
            "name": _TEXT,
            "tags": {"type": "object", "additionalProperties": _TEXTS},
            "type": {"enum": ["", "dataplane"]},
            "workload": _TEXT,
            "validFor": _SPAN,
        },
    },
    "zone": {
        "type": "object",
        "required": ["zone", "scope"],
        "properties": {
            "zone": {**_TEXT, "minLength": 1},
            "scope": {"type": "array", "items": {"enum": list(SCOPES)}},
            "validFor": _SPAN,
        },
    },
    "user": {
        "type": "object",
        "required": ["name", "validFor"],
        "properties": {"name": {**_TEXT, "minLength": 1}, "groups": _TEXTS, "validFor": _SPAN},
    },
}
_XDS_QUERY = {"include_eds": ["true", "false"]}
_TEXT_QUERY = {"format": ["json", "text"]}
ADMIN_QUERY: Mapping[str, Mapping[str, list[str]]] = {
    "xds": _XDS_QUERY,
    "stats": {**_TEXT_QUERY, "usedonly": ["true", "false"]},
    "clusters": _TEXT_QUERY,
}


def _answer(catalogue: Catalogue, _asked: Asked) -> Answer:
    return document(catalogue, described(catalogue.version))


ENDPOINT = Endpoint(
    path="/openapi.json",
    answer=_answer,
    says="This description.",
    returns={"type": "object", "required": ["openapi", "info", "paths"]},
)


@lru_cache(maxsize=1)
def described(version: str) -> Mapping[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in (*ENDPOINTS, ENDPOINT):
        paths.setdefault(endpoint.path, {})["get"] = _reading(endpoint)
    for path, method, operation in (*_writing(), *_envoys(), *_tokens()):
        paths.setdefault(path, {})[method] = operation
    for path, operations in paths.items():
        for method, operation in operations.items():
            operation["operationId"] = _id(method, path)
        if parameters := _in_path(path):
            operations["parameters"] = parameters
    return {
        "openapi": VERSION,
        "info": {
            "title": "Mesh Reconciler",
            "version": version,
            "description": "What a control plane shows. Policies are changed in Git.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"userToken": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": resource_schemas.all_schemas(),
            "securitySchemes": {
                "userToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _reading(endpoint: Endpoint) -> dict[str, Any]:
    good = {
        "description": endpoint.says,
        "headers": {"etag": {"schema": {"type": "string"}, "description": "Of this answer, weak."}},
        "content": {JSON: {"schema": endpoint.returns}},
    }
    found: dict[str, Any] = {
        "summary": endpoint.says,
        "parameters": [_parameter(parameter) for parameter in endpoint.query],
        "responses": {"200": good, "304": {"description": "It is as it was."}, **_errors()},
    }
    if endpoint.is_open:
        found["security"] = []
    return found


def _parameter(parameter: Parameter) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": parameter.name,
        "in": "query",
        "description": parameter.says,
        "schema": parameter.schema,
    }
    if parameter.schema.get("type") == "object":
        found |= {"style": "deepObject", "explode": True}
    return found


def _writing() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for kind in SHOWN:
        for path in spellings(kind):
            below = f"/meshes/{{mesh}}/{path}" if kind.mesh_scoped else f"/{path}"
            same = {"description": "Nothing would change.", "content": _json({"type": "object"})}
            body = {"required": True, "content": {JSON: {"schema": ref(kind.name)}}}
            says = f"Whether the {kind.name} that is served is the same; it is changed in Git."
            put = {"summary": says, "requestBody": body, "responses": {"200": same, **_errors()}}
            yield f"{below}/{{name}}", "put", put
            says = f"Refused: {kind.name} resources are changed in Git."
            yield f"{below}/{{name}}", "delete", {"summary": says, "responses": _errors()}


def _envoys() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, type_ in ADMIN_PATHS.items():
        for name in ADMIN_KINDS:
            says = f"The {name} of the Envoy of a {type_}."
            content = _json({}) if name == "xds" else {**TEXT, **_json({})}
            query = [
                {"name": key, "in": "query", "schema": {"type": "string", "enum": values}}
                for key, values in ADMIN_QUERY[name].items()
            ]
            responses = {"200": {"description": says, "content": content}, **_errors()}
            found = {"summary": says, "parameters": query, "responses": responses}
            yield f"{path}/{name}", "get", found


def _tokens() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for kind in TOKEN_KINDS:
        says = f"A token for a {kind}, where the control plane issues tokens over HTTP."
        body = {"required": True, "content": {JSON: {"schema": TOKEN_BODIES[kind]}}}
        responses = {"200": {"description": "The token alone.", "content": TEXT}, **_errors()}
        found = {"summary": says, "requestBody": body, "responses": responses}
        yield f"/tokens/{kind}", "post", found


def _errors() -> dict[str, Any]:
    content = _json(ref("Error"))
    return {
        "4XX": {"description": "Why not, and what to do.", "content": content},
        "503": {"description": "Not now; ask again in a moment.", "content": content},
    }


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {JSON: {"schema": schema}}


def _in_path(path: str) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    schema = {"type": "string", "minLength": 1}
    return [{"name": n, "in": "path", "required": True, "schema": schema} for n in names]


def _id(method: str, path: str) -> str:
    return f"{method}{path.replace('/', '.').replace('{', '').replace('}', '')}"
