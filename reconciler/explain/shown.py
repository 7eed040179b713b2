"""An explanation as text for people and as JSON for programs. Pure."""

from __future__ import annotations

import json
import re
from itertools import groupby
from typing import TYPE_CHECKING, Any

from reconciler.explain.causes import How
from reconciler.explain.positions import field_text
from reconciler.policies import POLICIES
from reconciler.problems import field_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.explain.causes import Place, Spot
    from reconciler.explain.explained import Explained, Explanation
    from reconciler.explain.positions import Positions
    from reconciler.problems import Path

VALUE_MAX = 60
_POLICIES = frozenset(policy.kind for policy in POLICIES)


def matching(values: Iterable[Explained], pattern: str) -> list[Explained]:
    """Those with the pattern in `Cluster backend connectTimeout`; `*` stands for anything."""
    wanted = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.IGNORECASE)
    return [each for each in values if wanted.search(_line(each.spot))]


def resource_text(spot: Spot) -> str:
    return f"{spot[0].rpartition('.')[2]} {spot[1]}"


def _line(spot: Spot) -> str:
    return f"{resource_text(spot)} {field_of(spot[2])}"


# --- JSON ---


def as_data(found: Explanation, values: Iterable[Explained], positions: Positions) -> Any:
    """One entry for each value."""
    return {
        "values": [_entry(each, positions) for each in values],
        "withoutEffect": [_policy(key, positions) for key in found.idle],
    }


def _entry(each: Explained, positions: Positions) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "resource": resource_text(each.spot),
        "path": field_of(each.spot[2]),
        "value": each.value,
        "how": str(each.how),
    }
    if each.kind:
        entry["defaultOf"] = each.kind
    if each.places:
        entry["from"] = [_place(place, positions) for place in each.places]
    if each.over:
        entry["over"] = [_place(place, positions) for place in each.over]
    return entry


def _place(place: Place, positions: Positions) -> dict[str, str]:
    return {
        "resource": str(place.key),
        "at": positions.of(place.key, place.path),
        "field": field_text(place.key, place.path),
    }


def _policy(key: Any, positions: Positions) -> dict[str, str]:
    return {"resource": str(key), "at": positions.of(key, ())}


# --- text ---


def as_text(
    found: Explanation, values: Iterable[Explained], positions: Positions, *, every: bool
) -> str:
    """`every`: what no policy has a part in, too."""
    told = [each for each in values if every or _of_policy(each)]
    lines: list[str] = []
    for resource, those in groupby(told, lambda each: resource_text(each.spot)):
        lines.append(resource)
        for group in _groups(those):
            lines += _of_group(group, positions)
        lines.append("")
    if found.idle:
        lines.append("policies for this proxy that change nothing of it:")
        lines += [f"  {positions.of(key, ())}  {key}" for key in found.idle]
        lines.append("")
    left = sum(1 for _ in values) - len(told)
    if left:
        text = (
            f"{left} more values come from the mesh, from the proxies themselves, or are built in"
        )
        lines.append(f"{text}; --only PATTERN shows them")
    return "\n".join(lines).rstrip("\n") + "\n"


def _of_policy(each: Explained) -> bool:
    return bool(each.kind) or any(place.key.type in _POLICIES for place in each.places)


def _groups(values: Iterable[Explained]) -> Iterator[list[Explained]]:
    """What stands there first, each by itself; then what is there for one reason, together."""
    because: dict[Any, list[Explained]] = {}
    for each in values:
        if each.how is How.VALUE:
            yield [each]
        else:
            because.setdefault((each.how, each.places, each.over, each.kind), []).append(each)
    yield from because.values()


def _of_group(group: list[Explained], positions: Positions) -> Iterator[str]:
    first = group[0]
    if len(group) == 1:
        yield f"  {field_of(first.spot[2])}: {_shown(first.value)}"
    else:
        common = _common([each.spot[2] for each in group])
        yield f"  {field_of(common) or '(all of it)'}: {len(group)} values"
    yield from (f"    {_WORDS[first.how]} {_placed(place, positions)}" for place in first.places)
    if not first.places:
        yield (
            f"    <- built in, as long as a {first.kind} applies"
            if first.kind
            else "    <- built in"
        )
    yield from (f"    over {_placed(place, positions)}" for place in first.over)


_WORDS = {How.VALUE: "<-", How.PRESENCE: "<- is there by", How.DEFAULT: "<- built in, holds by"}


def _placed(place: Place, positions: Positions) -> str:
    at = positions.of(place.key, place.path)
    return f"{at}  {place.key}  {field_text(place.key, place.path)}".rstrip()


def _common(paths: list[Path]) -> Path:
    shortest = min(paths, key=len)
    for at in range(len(shortest)):
        if len({path[at] for path in paths}) > 1:
            return shortest[:at]
    return shortest


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_MAX else f"{text[: VALUE_MAX - 2]} …"
