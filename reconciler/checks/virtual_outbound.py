"""VirtualOutbound: names and ports that are made for services."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.addresses import is_dns_name
from reconciler.checks.selectors import SERVICE, TAG, any_selectors
from reconciler.part import PORT_MAX, Part, form, not_empty, required, unique
from reconciler.templates.tokens import TemplateError
from reconciler.templates.values import evaluated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

_WORD = re.compile(r"[a-zA-Z0-9]+")
_INTEGER = re.compile(r"[-+]?[0-9]+")
# What the templates are tried with.
SOME_NAME, SOME_PORT = "dummy", "1"


def check(spec: Mapping[str, object], at: At) -> Faults:
    document = Part(spec, (), at)
    yield from any_selectors(document["selectors"])
    conf = document["conf"]
    yield from required(conf, "write host, port and parameters")
    if not conf:
        return
    parameters = list(conf["parameters"].items())
    names = [parameter["name"].text for parameter in parameters]
    yield from _parameters(conf, parameters)
    yield from _host(conf["host"], dict.fromkeys(names, SOME_NAME))
    yield from _port(conf["port"], dict.fromkeys(names, SOME_PORT))


def _parameters(conf: Part, parameters: list[Part]) -> Faults:
    yield from unique((parameter["name"] for parameter in parameters), "the name")
    for parameter in parameters:
        name, tag = parameter["name"], parameter["tagKey"]
        if tag.text:
            yield from form(tag, TAG, "a tag", 'use letters, digits, ".", "-", "_", ":" and "/"')
        if not _WORD.fullmatch(name.text):
            yield name.fault("VAL010", f'"{name.text[:60]}" is no name; use letters and digits')
    if not any(parameter["tagKey"].text == SERVICE for parameter in parameters):
        text = f"a parameter for the service is missing; write tagKey: {SERVICE}"
        yield conf["parameters"].fault("VAL001", text)


def _host(host: Part, values: Mapping[str, str]) -> Faults:
    yield from not_empty(host, "write a template such as {{.service}}.mesh")
    if not host.text:
        return
    try:
        name = evaluated(host.text, values)
    except TemplateError as error:
        yield host.fault("VAL010", f"host is no template: {error}")
        return
    if not is_dns_name(name):
        text = f'host becomes "{name[:60]}", which is no host name; make it one'
        yield host.fault("VAL010", text)


def _port(port: Part, values: Mapping[str, str]) -> Faults:
    yield from not_empty(port, 'write a port such as "80", or a template')
    if not port.text:
        return
    try:
        number = evaluated(port.text, values)
    except TemplateError as error:
        yield port.fault("VAL010", f"port is no template: {error}")
        return
    fits = _INTEGER.fullmatch(number) and len(number) <= 40 and 0 < int(number) <= PORT_MAX
    if not fits:
        text = f'port becomes "{number[:60]}"; it must be between 1 and {PORT_MAX}'
        yield port.fault("VAL010", text)
