"""What is asked of `POST /tokens/…` (facts/http-api.md 11), read strictly. Pure: who may ask, and
the key that signs, are the shell's business.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from reconciler.ca.tokens import dataplane_claims, user_claims, zone_claims
from reconciler.duration import parse_duration
from reconciler.rest.answer import Invalid, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TokenKind = Literal["dataplane", "zone", "user"]
YEAR_S = 365 * 86400.0  # where a proxy or a zone is asked for without `validFor`
TEXT_MAX = 1024  # characters of a name
LIST_MAX = 100  # names of one list, tags of one proxy
SCOPES = ("cp", "ingress", "egress")
NO_KEY = "Signing Key not found"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A token to sign. `whose` names for whom, for the log."""

    kind: TokenKind
    claims: Mapping[str, object]
    valid_s: float
    whose: str
    mesh: str = ""


class _Reading:
    """Of one body; what cannot be used is collected, so that all of it is told at once."""

    def __init__(self, body: bytes) -> None:
        self.invalid: list[Invalid] = []
        self.data: Mapping[str, object] = {}
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            raise Refused(400, "Invalid request", "the body is no JSON object")
        self.data = data

    def fault(self, field: str, reason: str) -> None:
        self.invalid.append(Invalid(field, reason))

    def text(self, field: str, *, needed: bool = False) -> str:
        value = self.data.get(field)
        if value is None or value == "":
            if needed:
                self.fault(field, "cannot be empty")
            return ""
        if not _is_name(value):
            self.fault(field, f"must be a printable text of at most {TEXT_MAX} characters")
        return str(value)

    def texts(self, field: str, value: object) -> list[str]:
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > LIST_MAX or not all(map(_is_name, value)):
            self.fault(field, f"must be a list of at most {LIST_MAX} texts that are not empty")
            return []
        return list(value)

    def tags(self) -> dict[str, list[str]]:
        value = self.data.get("tags")
        if value is None:
            return {}
        if not isinstance(value, dict) or len(value) > LIST_MAX or not all(map(_is_name, value)):
            self.fault("tags", f"must hold lists of values, for at most {LIST_MAX} tags")
            return {}
        found = {tag: self.texts(f'tags["{tag}"]', values) for tag, values in value.items()}
        for tag in (tag for tag, values in found.items() if not values):
            self.fault(f'tags["{tag}"]', "cannot be empty")
        return found

    def valid_s(self, *, needed: bool = False) -> float:
        text = self.data.get("validFor")
        if text is None or text == "":
            if needed:
                self.fault("validFor", "cannot be empty")
            return YEAR_S
        span = parse_duration(text) if isinstance(text, str) else None
        if span is None or span.total_seconds() < 1:
            self.fault("validFor", "must be a duration of at least a second, such as 720h")
            return 0.0
        return span.total_seconds()

    def done(self) -> None:
        if self.invalid:
            raise Refused(400, "Invalid request", "Resource is not valid", *self.invalid)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= TEXT_MAX and value.isprintable()


def _dataplane(reading: _Reading) -> Wanted:
    mesh, name = reading.text("mesh", needed=True), reading.text("name")
    tags, workload = reading.tags(), reading.text("workload")
    if reading.text("type") not in ("", "dataplane"):
        reading.fault("type", 'must be "dataplane"; a zone proxy takes a token of its zone')
    valid_s = reading.valid_s()
    claims = dataplane_claims(mesh, name, tags, workload)
    return Wanted("dataplane", claims, valid_s, f"{mesh}/{name or '*'}", mesh)


def _zone(reading: _Reading) -> Wanted:
    zone = reading.text("zone", needed=True)
    if not isinstance(reading.data.get("scope"), list):
        reading.fault("scope", "cannot be empty")
    scope = reading.texts("scope", reading.data.get("scope"))
    if not set(scope) <= set(SCOPES):
        reading.fault("scope", f"must be of {', '.join(SCOPES)}")
    valid_s = reading.valid_s()
    return Wanted("zone", zone_claims(zone, tuple(scope)), valid_s, zone)


def _user(reading: _Reading) -> Wanted:
    name = reading.text("name", needed=True)
    groups = reading.texts("groups", reading.data.get("groups"))
    valid_s = reading.valid_s(needed=True)
    return Wanted("user", user_claims(name, tuple(groups)), valid_s, name)


_READ: Mapping[TokenKind, Callable[[_Reading], Wanted]] = {
    "dataplane": _dataplane,
    "zone": _zone,
    "user": _user,
}
TOKEN_KINDS: tuple[TokenKind, ...] = tuple(_READ)


def wanted(kind: TokenKind, body: bytes) -> Wanted:
    """Raises Refused with every field that cannot be used."""
    reading = _Reading(body)
    found = _READ[kind](reading)
    reading.done()
    return found
