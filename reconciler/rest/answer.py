"""One request as the API reads it, and its answer. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.rest.callers import Caller
    from reconciler.rest.catalogue import Catalogue

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
INDENT_MAX = 256 * 1024  # bytes; larger answers are read by programs
TYPE = "/std-errors"  # of every error, as Kuma has it
NOT_FOUND = "Could not retrieve a resource"
LIST_FAILED = "Could not retrieve resources"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`places` are the path's parameters by name; `base` is scheme and host as the client wrote
    them.
    """

    path: str
    route: str
    places: Mapping[str, str] = field(default_factory=dict)
    query: tuple[tuple[str, str], ...] = ()
    base: str = ""
    caller: Caller
    body: bytes = field(default=b"", repr=False)

    def last(self, name: str) -> str | None:
        """Of a parameter that is given twice the last one counts."""
        return next((value for key, value in reversed(self.query) if key == name), None)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int = 200
    body: bytes = field(default=b"", repr=False)
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of the query, for the API's description."""

    name: str
    says: str
    schema: Mapping[str, object] = field(default_factory=lambda: {"type": "string"})


def object_of(**properties: str) -> Mapping[str, object]:
    """The JSON Schema of an object that has all of these, by name and type."""
    types = {name: {"type": type_} for name, type_ in properties.items()}
    return {"type": "object", "required": list(properties), "properties": types}


LISTED = object_of(total="integer", items="array")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What is answered to GET on a path. Of two that fit a path, the one with more literal segments
    is meant. `returns` is the JSON Schema of a good answer's body.
    """

    path: str  # "/meshes/{mesh}/dataplanes/{name}"
    answer: Callable[[Catalogue, Asked], Answer]
    says: str
    returns: Mapping[str, object] = field(default_factory=lambda: {"type": "object"})
    query: tuple[Parameter, ...] = ()
    is_open: bool = False  # also to who has not said who they are


@dataclass(frozen=True, slots=True)
class Invalid:
    """A part of the request that cannot be used."""

    field: str
    reason: str


class Refused(Exception):
    """The request ends here; with Kuma's error body (facts/http-api.md 8.2)."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *invalid: Invalid,
        allow: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail = status, title, detail
        self.invalid, self.allow = invalid, allow
        self.headers = {**(headers or {}), **({"allow": allow} if allow else {})}

    def answer(self) -> Answer:
        body: dict[str, object] = {
            "type": TYPE,
            "status": self.status,
            "title": self.title,
            "detail": self.detail,
        }
        if self.invalid:
            body["invalid_parameters"] = [
                {"field": each.field, "reason": each.reason} for each in self.invalid
            ]
        body["details"] = self.detail  # Two legacy copies: older clients read nothing else.
        if self.invalid:
            body["causes"] = [
                {"field": each.field, "message": each.reason} for each in self.invalid
            ]
        return Answer(self.status, encoded(body), JSON, self.headers)


def bad_request(detail: str, *invalid: Invalid) -> Refused:
    return Refused(400, "Bad Request", detail, *invalid)


def encoded(value: object) -> bytes:
    """For people: indented, in the order given."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode(errors="replace")


def answered(catalogue: Catalogue, text: str, headers: Mapping[str, str] | None = None) -> Answer:
    """From compact JSON. The ETag begins with the revision, and tells what the revision does not
    decide: proxies come and go.
    """
    if len(text) <= INDENT_MAX:
        body = encoded(json.loads(text))
    else:
        body = f"{text}\n".encode(errors="replace")
    digest = hashlib.blake2b(body, digest_size=8).hexdigest()
    tag = f'W/"{(catalogue.revision or "none")[:12]}-{digest}"'
    return Answer(200, body, JSON, {"etag": tag, "cache-control": "no-cache", **(headers or {})})


def document(catalogue: Catalogue, value: object) -> Answer:
    return answered(catalogue, json.dumps(value, ensure_ascii=False, separators=(",", ":")))
