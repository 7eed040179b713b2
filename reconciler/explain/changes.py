"""What differs between two configurations of a proxy, value by value. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.explain.paths import at, counterparts, differences, leaves
from reconciler.explain.world import TYPES
from reconciler.problems import field_of
from xds.readable import readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xds.resource import XdsResource
    from xds.snapshot import Snapshot

Change = dict[str, Any]  # resource, path, now, then: what is not there has no word


def changes(now: Snapshot, then: Snapshot) -> list[Change]:
    """By resource; what comes or goes whole is one line."""
    found: list[Change] = []
    for type_url in TYPES:
        before, after = now.of(type_url), then.of(type_url)
        for name in sorted(before.keys() | after.keys()):
            resource = f"{type_url.rpartition('.')[2]} {name}"
            found += [{"resource": resource, **c} for c in _of(before.get(name), after.get(name))]
    return found


def _of(before: XdsResource | None, after: XdsResource | None) -> Iterator[Change]:
    if before is None or after is None:
        whole = readable(before or after)  # type: ignore[arg-type]
        yield {"path": "", "then" if before is None else "now": whole}
    elif before.version != after.version:
        old, new = readable(before), readable(after)
        for path, where, value in differences(old, new):
            change = {"path": field_of(path), "now": at(old, path)}
            yield change if where is None else {**change, "then": value}
        known = set(counterparts(new, old))
        for path, value in leaves(new):
            if path not in known:
                yield {"path": field_of(path), "then": value}


def changes_text(found: list[Change]) -> list[str]:
    return [f"  {_named(each)}: {_shown(each, 'now')} -> {_shown(each, 'then')}" for each in found]


def _shown(change: Change, word: str) -> str:
    if word not in change:
        return "nothing"
    value = change[word]
    return "there" if isinstance(value, dict) and value else json.dumps(value)


def _named(change: Change) -> str:
    return f"{change['resource']} {change['path']}".rstrip()
