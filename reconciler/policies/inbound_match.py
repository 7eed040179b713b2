"""Who is calling: the `matches` of inbound rules, by SPIFFE id and by SNI."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from reconciler.problems import Problem

if TYPE_CHECKING:
    from reconciler.policies.policy import At, Path

_SPIFFE = re.compile(r"spiffe://[a-z0-9._-]+(/[a-zA-Z0-9._-]+)*\Z")
_SPIFFE_START = re.compile(r"spiffe://[a-z0-9._-]+(/[a-zA-Z0-9._-]+)*/?\Z")
_DNS = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\Z")


@dataclass(frozen=True, slots=True)
class InboundMatch:
    """Members are ANDed; "" means any. At most one of the two spiffe fields is set."""

    spiffe_exact: str = ""
    spiffe_prefix: str = ""
    sni: str = ""

    @property
    def specificity(self) -> tuple[int, int, int]:
        """Ascending with precision: exact id, then longer prefix, then with SNI.

        Kuma leaves two prefixes in policy order; the longer one first is what people expect.
        """
        kind = 2 if self.spiffe_exact else 1 if self.spiffe_prefix else 0
        return kind, len(self.spiffe_prefix), 1 if self.sni else 0


def decode_match(fields: Mapping[str, object]) -> InboundMatch:
    spiffe = cast("Mapping[str, str]", fields.get("spiffeID") or {})
    sni = cast("Mapping[str, str]", fields.get("sni") or {})
    value = spiffe.get("value", "")
    exact = spiffe.get("type") == "Exact"
    return InboundMatch(value if exact else "", "" if exact else value, sni.get("value", ""))


def decode_matches(item: Mapping[str, object]) -> tuple[InboundMatch, ...]:
    """The `matches` of one rule."""
    given = item.get("matches")
    matches = cast("list[Mapping[str, object]]", given) if isinstance(given, list) else []
    return tuple(decode_match(match) for match in matches)


def check_match(match: Mapping[str, object], path: Path, at: At) -> Iterator[Problem]:
    spiffe, sni = match.get("spiffeID"), match.get("sni")
    if spiffe is None and sni is None:
        yield Problem(at(path), "IM001", "matches nothing; give spiffeID, sni or both")
    if isinstance(spiffe, Mapping):
        value = str(spiffe.get("value", ""))
        form = _SPIFFE if spiffe.get("type") == "Exact" else _SPIFFE_START
        if not form.match(value):
            yield Problem(
                at((*path, "spiffeID", "value")),
                "IM002",
                f'"{value}" is not a SPIFFE id; write spiffe://<trust domain>/<path>',
            )
    if isinstance(sni, Mapping) and not _DNS.match(str(sni.get("value", ""))):
        yield Problem(
            at((*path, "sni", "value")), "IM003", f'"{sni.get("value", "")}" is not a DNS name'
        )
