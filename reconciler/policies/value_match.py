"""How a header or parameter is matched, in the words of every policy that does so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xds.route import MatchKind

if TYPE_CHECKING:
    from collections.abc import Mapping

VALUE_KINDS: Mapping[str, MatchKind] = {
    "Exact": MatchKind.EXACT,
    "Prefix": MatchKind.PREFIX,
    "RegularExpression": MatchKind.REGEX,
    "Present": MatchKind.PRESENT,
    "Absent": MatchKind.ABSENT,
}
