"""The selectors of the legacy kinds: whom a policy takes as sources, destinations or proxies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.part import form, not_allowed, not_empty

if TYPE_CHECKING:
    from reconciler.part import Faults, Part

SERVICE = "kuma.io/service"
_TAG = re.compile(r"[a-zA-Z0-9.\-_:/]+")
_VALUE = re.compile(r"\*|[a-zA-Z0-9.\-_:/]+")


def service_sources(part: Part) -> Faults:
    """At least one selector; each names a service, and other tags if it likes."""
    yield from _selectors(part, needs_service=True)


def service_destinations(part: Part) -> Faults:
    """At least one selector; each is a service alone."""
    yield from _selectors(part, needs_service=True)
    for selector in part.items():
        match = selector["match"]
        others = [each for name, each in match.entries() if name != SERVICE]
        if others:
            yield match.fault("VAL011", f"a destination is a service alone; leave only {SERVICE}")
        for other in others:
            yield from not_allowed(other, f"a destination has the tag {SERVICE} alone")


def any_selectors(part: Part) -> Faults:
    """At least one selector, each of any tags."""
    yield from _selectors(part, needs_service=False)


def _selectors(part: Part, *, needs_service: bool) -> Faults:
    yield from not_empty(part, f'write a list such as [{{match: {{{SERVICE}: "*"}}}}]')
    for selector in part.items():
        match = selector["match"]
        yield from not_empty(match, f'write a tag such as {SERVICE}: "*"')
        for name, value in match.entries():
            if not _TAG.fullmatch(name):
                text = f'"{name}" is no tag; use letters, digits, ".", "-", "_", ":" and "/"'
                yield value.fault("VAL010", text)
            yield from form(value, _VALUE, "a tag's value", 'write plain letters, or "*" for any')
        if needs_service and SERVICE not in match.fields:
            text = f'{SERVICE} is missing; write {SERVICE}: "*" for every service'
            yield match.fault("VAL001", text)
