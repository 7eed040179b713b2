"""The selectors of the legacy kinds: whom a policy takes as sources, destinations or proxies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.part import form, not_allowed, not_empty

if TYPE_CHECKING:
    from reconciler.part import Faults, Part

SERVICE = "kuma.io/service"
PROTOCOL = "kuma.io/protocol"
TAG = re.compile(r"[a-zA-Z0-9.\-_:/]*")
_VALUE = re.compile(r"\*|[a-zA-Z0-9.\-_:/]+")
_OWN_VALUE = re.compile(r"[a-zA-Z0-9.\-_:]+")
_PROXYS_OWN = (SERVICE, PROTOCOL, "kuma.io/zone", "kuma.io/external-service-name")


def service_sources(part: Part) -> Faults:
    """At least one selector; each names a service, and other tags if it likes."""
    yield from _listed(part)
    for selector in part.items():
        yield from service_tags(selector["match"])


def service_destinations(part: Part) -> Faults:
    """At least one selector; each is a service alone."""
    yield from service_sources(part)
    for selector in part.items():
        match = selector["match"]
        others = [each for name, each in match.entries() if name != SERVICE]
        if others:
            yield match.fault("VAL011", f"a destination is a service alone; leave only {SERVICE}")
        for other in others:
            yield from not_allowed(other, f"a destination has the tag {SERVICE} alone")


def any_selectors(part: Part) -> Faults:
    """At least one selector, each of any tags."""
    yield from _listed(part)
    for selector in part.items():
        yield from tags(selector["match"])


def service_tags(part: Part) -> Faults:
    """Tags and what they must be; a service is among them."""
    yield from tags(part)
    if SERVICE not in part.fields:
        yield part.fault("VAL001", f'{SERVICE} is missing; write {SERVICE}: "*" for every service')


def tags(part: Part) -> Faults:
    """At least one."""
    yield from not_empty(part, f'write a tag such as {SERVICE}: "*"')
    yield from tag_values(part)


def tag_values(
    part: Part, values: re.Pattern[str] = _VALUE, cure: str = 'write plain letters, or "*" for any'
) -> Faults:
    """Any number of them."""
    for name, value in part.entries():
        if not name:
            yield part.fault("VAL002", "the name of a tag is empty; write it, or remove its line")
        elif not TAG.fullmatch(name):
            text = f'"{name}" is no tag; use letters, digits, ".", "-", "_", ":" and "/"'
            yield value.fault("VAL010", text)
        yield from form(value, values, "a tag's value", cure)


def _listed(part: Part) -> Faults:
    yield from not_empty(part, f'write a list such as [{{match: {{{SERVICE}: "*"}}}}]')


def own_tags(part: Part) -> Faults:
    """Tags of a gateway or a listener: any number, but none that says what a proxy is."""
    yield from tag_values(part)
    for name, value in part.entries():
        if name in _PROXYS_OWN:
            yield from not_allowed(value, "proxies have it")


def service_of_own(part: Part) -> Faults:
    """Tags that something has, rather than asks for: a service among them, and no "*"."""
    yield from tag_values(part, _OWN_VALUE, "write letters, digits and . - _ :")
    if SERVICE not in part.fields:
        yield part.fault("VAL001", f"{SERVICE} is missing; write the name of the service")
