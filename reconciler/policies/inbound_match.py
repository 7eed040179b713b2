"""Who is calling: the `matches` of inbound rules, by SPIFFE id and by SNI."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import Faults, Part

_SPIFFE = re.compile(r"spiffe://[a-z0-9._-]+(/(?!\.\.?(/|\Z))[a-zA-Z0-9._-]+)*")
_DNS = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_DNS_MAX = 253


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


def check_match(match: Part, *, empty_allowed: bool) -> Faults:
    """`empty_allowed`: Kuma takes a match of nothing in particular, which matches every caller."""
    spiffe, sni = match["spiffeID"], match["sni"]
    if not spiffe and not sni and not empty_allowed:
        yield match.fault("IM001", "matches nothing; give spiffeID, sni or both")
    elif not spiffe and not sni:
        yield match.warning("IM001", "matches every caller; give spiffeID, sni or both")
    value = spiffe["value"].text
    if spiffe and not _SPIFFE.fullmatch(value):
        # A prefix, too, is a whole id: it ends behind a part of the path.
        text = f'"{value[:60]}" is not a SPIFFE id; write spiffe://<trust domain>/<path>'
        yield spiffe["value"].called(spiffe.path).fault("IM002", text)
    name = sni["value"].text
    if sni and (len(name) > _DNS_MAX or not _DNS.fullmatch(name)):
        text = f'"{name[:60]}" is not a DNS name; write one in lower case, such as web.example'
        yield sni["value"].fault("IM003", text)
