"""MeshAccessLog: what proxies log of requests and connections, and where to."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from reconciler.part import Part, form, not_empty, required
from reconciler.policies.document import check_sections
from reconciler.policies.otel_backend import collector
from reconciler.policies.policy import GATEWAY, PROXY_KINDS, ROUTE, SERVICE_KINDS, PolicyRules
from reconciler.urls import host_and_port, is_file_path, is_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

_MEMBERS = {"File": "file", "Tcp": "tcp", "OpenTelemetry": "openTelemetry"}
_FORMATS = {"Plain": "plain", "Json": "json"}
_ATTRIBUTE = re.compile(r"(?!otel\.)[a-z](?:[a-z0-9]|[._][a-z0-9])*")


def check(spec: Mapping[str, object], at: At) -> Faults:
    yield from check_sections(POLICY, spec, at)
    for section in ("to", "from", "rules"):
        for item in Part(spec, (), at)[section].items():
            backends = item["default"]["backends"]
            yield from required(backends, "write a list; an empty one turns logging off")
            for backend in backends.items():
                yield from _backend(backend)


def _backend(backend: Part) -> Faults:
    member = backend[_MEMBERS.get(backend["type"].text, "")]
    if backend["type"].text not in _MEMBERS:
        return  # The schema has said so.
    yield from required(member, f"a backend of type {backend['type'].text} has it")
    if not member:
        return
    match member.name:
        case "file":
            if not is_file_path(member["path"].text):
                text = "path must be an absolute path; write it like /var/log/access.log"
                yield member["path"].fault("VAL010", text)
        case "tcp":
            if not is_url(member["address"].text):
                text = "address must be host and port; write it like logs.example.com:5000"
                yield member["address"].fault("VAL010", text)
            elif host_and_port(member["address"].text) is None:
                text = "proxies dial a host and port, and lose what is for another form; add :5000"
                yield member["address"].warning("VAL010", text)
        case _:
            yield from collector(member)
            for attribute in member["attributes"].items():
                what = "the name of an attribute"
                cure = "use lower case, single dots and underscores, and no otel. in front"
                yield from form(attribute["key"], _ATTRIBUTE, what, cure)
    if member["format"]:
        yield from _format(member["format"])


def _format(part: Part) -> Faults:
    name = _FORMATS.get(part["type"].text)
    if name is None:
        return  # The schema has said so.
    yield from not_empty(part[name], "say what a line looks like, or leave out format")
    for pair in part["json"].items() if name == "json" else ():
        for each in (pair["key"], pair["value"]):
            yield from not_empty(each, "a member of a JSON object has both")
        if not _is_json(f'{{"{pair["key"].text}": "{pair["value"].text}"}}'):
            text = 'key and value must fit between quotes in JSON; write \\" for a quote'
            yield pair.fault("VAL010", text)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


POLICY = PolicyRules(
    kind="MeshAccessLog",
    slug="mesh_access_log",
    check=check,
    top_kinds=(*PROXY_KINDS, GATEWAY),
    to_kinds=("Mesh", *SERVICE_KINDS, ROUTE),
    narrow_to_kinds={GATEWAY: ("Mesh",)},
    from_kinds=("Mesh",),
    has_rules=True,
)
