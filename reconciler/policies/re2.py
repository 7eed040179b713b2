"""Regular expressions as Envoy runs them: RE2, judged with the help of Python's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LENGTH_MAX = 2000  # reading one takes more than linear time
REPEATED_MAX = 1000  # RE2's own limit
_RE2_ONLY = re.compile(
    r"\\[pP](\{\^?\w+\}|\w)|\\[zC]|\[:\^?\w+:\]|\\Q.*?(\\E|\Z)|\\x\{[0-9A-Fa-f]+\}"
    r"|(?<=\()\?<(?=\w)|\(\?[imsU]+\)"
)
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_CLASS = re.compile(r"\[\^?\]?[^\]]*\]")
_UNKNOWN_ESCAPES = ("\\Z", "\\u", "\\U", "\\N")  # to RE2; Python has them


def faults(value: str) -> Iterator[str]:
    """Why Envoy would refuse it. What only RE2 knows is taken out before Python judges the rest."""
    if len(value) > LENGTH_MAX:
        yield f"a regular expression has at most {LENGTH_MAX} characters; write several"
        return
    known = _RE2_ONLY.sub("x", value)
    try:
        re.compile(known)
    except (re.error, RecursionError, OverflowError) as error:
        yield f'"{value}" is not a regular expression: {error}'
    plain = _CLASS.sub("x", _ESCAPED.sub("x", known))
    escapes = _ESCAPED.findall(known)
    if re.search(r"\(\?(<?[=!]|P=)", plain) or any(each[1] in "123456789" for each in escapes):
        yield f'"{value}" looks around or back, which RE2 cannot'
    unknown = [each for each in escapes if each in _UNKNOWN_ESCAPES]
    if re.search(r"\(\?[>#(]|[*+?}]\+", plain) or unknown:
        what = unknown[0] if unknown else "an atomic group, a comment or a condition"
        yield f'"{value}" has {what}, which RE2 lacks'
    counts = re.findall(r"\{0*([0-9]+)(?:,0*([0-9]*))?\}", plain)
    if any(len(n) > 4 or int(n or 0) > REPEATED_MAX for pair in counts for n in pair):
        yield f'"{value}" repeats over {REPEATED_MAX} times'
