"""MeshHTTPRoute: what Kuma refuses of its documents, and what Envoy would refuse of the others.

The former are errors. The latter are warnings: Envoy would refuse the whole listener, so what they
speak of is left out where the policy is decoded, by the same functions.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.part import Part, percent_of, unique
from reconciler.policies.backend import check_backends
from reconciler.policies.document import check_sections, check_target
from reconciler.policies.policy import GATEWAY
from reconciler.policies.re2 import faults
from reconciler.problems import Position

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults
    from reconciler.policies.policy import PolicyRules

MEMBERS = {
    "RequestHeaderModifier": "requestHeaderModifier",
    "ResponseHeaderModifier": "responseHeaderModifier",
    "RequestRedirect": "requestRedirect",
    "URLRewrite": "urlRewrite",
    "RequestMirror": "requestMirror",
}
REPLACED = {"ReplaceFullPath": "replaceFullPath", "ReplacePrefixMatch": "replacePrefixMatch"}
_MIRROR_KINDS = ("MeshService", "MeshServiceSubset")
_HEADER_LISTS = ("set", "add", "remove")
_BREAKS = re.compile(r"[\x00\r\n]")
_COMMAND = re.compile(r"%%|%[A-Z0-9_]+(\(.*?\))?(:[0-9]+)?%")  # in a header's value; %% is a %
_IP = re.compile(r"([0-9]+)\.([0-9]+)\.([0-9]+)\.([0-9]+)")


def check_routes(policy: PolicyRules, spec: Mapping[str, object], at: At) -> Faults:
    yield from check_sections(policy, spec, at)
    document = Part(spec, (), at)
    gateway = document["targetRef"]["kind"].value == GATEWAY
    for item in document["to"].items():
        rules = item["rules"]
        if rules.value == []:
            yield rules.warning("MHR001", "has no rules; add one or remove the item")
        if item.set("hostnames") and not gateway:
            text = "hostnames are for gateways only; remove them"
            yield item["hostnames"].fault("MHR013", text)
        for rule in rules.items():
            yield from _check_rule(rule, gateway=gateway)


def _check_rule(rule: Part, *, gateway: bool) -> Faults:
    matches, default = rule["matches"], rule["default"]
    if matches.value == []:
        text = "matches nothing; a PathPrefix of / matches everything"
        yield matches.fault("MHR002", text)
    for match in matches.items():
        yield from _check_match(match)
        yield from match_that_breaks(match)
    for each in default["filters"].items():
        yield from _check_filter(each, matches, gateway=gateway)
    refs = default["backendRefs"]
    redirects = any(f["type"].value == "RequestRedirect" for f in default["filters"].items())
    if gateway and not redirects and not refs.value:
        # A gateway has no destination of its own to fall back to.
        text = "leads nowhere; a gateway needs backendRefs or a RequestRedirect"
        yield refs.fault("MHR015", text)
    yield from check_backends(refs, unresolved_allowed=True)


# --- matches ---


def _check_match(match: Part) -> Faults:
    kind, value = match["path"]["type"].value, match["path"]["value"]
    if kind in ("Exact", "PathPrefix") and not value.text.startswith("/"):
        yield value.fault("MHR003", f'path "{value.text[:60]}" must start with /')
    elif kind == "PathPrefix" and value.text != "/" and value.text.endswith("/"):
        yield value.fault("MHR004", f'path "{value.text[:60]}" must not end with /; leave it out')
    for header in match["headers"].items():
        if header["type"].value in ("Present", "Absent") and header["value"].text:
            text = f"{header['type'].text} takes no value; remove it"
            yield header["value"].fault("MHR005", text)
        if (header["type"].text or "Exact") == "Exact" and not header["value"]:
            yield header["value"].warning(
                "MHR005", "only an empty header equals nothing; add value"
            )
    yield from unique((each["name"] for each in match["queryParams"].items()), "the parameter")


def match_that_breaks(match: Part) -> Faults:
    """What Envoy refuses of a match."""
    path = match["path"]
    if path["type"].value == "RegularExpression":
        yield from _expression(path["value"])
    for name in ("headers", "queryParams"):
        for each in match[name].items():
            kind, value = each["type"].text or "Exact", each["value"]
            if kind in ("Prefix", "RegularExpression") and not value.text:
                text = f"{kind} needs a value; our zones leave the match out"
                yield value.warning("MHR005", text)
            elif kind == "RegularExpression":
                yield from _expression(value)


def _expression(part: Part) -> Faults:
    for fault in faults(part.text):
        yield part.warning("MHR006", f"{fault}; our zones leave the match out")


# --- filters ---


def _check_filter(given: Part, matches: Part, *, gateway: bool) -> Faults:
    kind = given["type"].text
    member = given[MEMBERS.get(kind, "")]
    if kind in MEMBERS and not member:
        yield member.fault("MHR008", f"{kind} needs its member {member.name}; add it")
    elif kind.endswith("HeaderModifier"):
        yield from _check_headers(member)
    elif kind == "RequestMirror":
        ref = member["backendRef"]
        yield from check_target(ref.fields, _MIRROR_KINDS, ref.path, ref.at)
        yield from mirror_that_breaks(member)
    elif kind in ("RequestRedirect", "URLRewrite"):
        yield from _check_new_place(member, matches)
    if kind == "URLRewrite":
        yield from _check_backend_host(member, gateway=gateway)


def _check_headers(member: Part) -> Faults:
    lists = member.given(*_HEADER_LISTS)
    if not lists:
        yield member.fault("MHR009", "changes no header; fill set, add or remove")
    elif not any(each.value for each in lists):
        yield member.warning("MHR009", "changes no header; fill set, add or remove")
    # Kuma says of a removed one, too, that its name is here twice.
    yield from unique(
        (
            each.called((*each.path, "name")) if part.name == "remove" else each["name"]
            for part in lists
            for each in part.items()
        ),
        "the header",
    )
    for part in lists:
        for header in part.items():
            yield from header_that_breaks(header)


def header_that_breaks(header: Part) -> Faults:
    """What Envoy refuses of an entry of `set`, `add` or `remove`."""
    removed = isinstance(header.value, str)
    name = header if removed else header["name"]
    value = header["value"]
    if name.text.lower() == "host" or name.text.startswith(":"):
        text = f'"{name.text[:60]}" is no header to change; use urlRewrite for host and path'
        yield name.warning("MHR009", text)
    elif removed and (not name.text or _BREAKS.search(name.text)):
        yield name.warning("MHR009", f'"{name.text[:60]}" is not the name of a header; correct it')
    if _BREAKS.search(value.text):
        yield value.warning("MHR009", "has a line break; a header is one line")
    if "%" in _COMMAND.sub("", value.text):
        text = "has a % that begins no command of Envoy; write %% for a percent sign"
        yield value.warning("MHR009", text)


def mirror_that_breaks(member: Part) -> Faults:
    percent = member["percentage"]
    number = percent_of(percent)
    if percent and (number is None or not 0 <= number <= 100):
        text = f'"{percent.value}" is not within 0 to 100; our zones leave the mirror out'
        yield percent.warning("MHR010", text)


def _check_new_place(member: Part, matches: Part) -> Faults:
    """Of a redirect or a rewrite."""
    prefix = member["path"]["replacePrefixMatch"]
    only_prefixes = all(m["path"]["type"].value == "PathPrefix" for m in matches.items())
    if prefix and not only_prefixes:
        text = "replacePrefixMatch needs every match to be a PathPrefix; use replaceFullPath"
        yield prefix.fault("MHR011", text)
    yield from path_that_breaks(member["path"])
    host = _IP.fullmatch(member["hostname"].text)
    if host is not None and all(int(part) <= 255 for part in host.groups()):
        yield member["hostname"].fault("VAL010", "an IP is no host name; write a name")


def path_that_breaks(path: Part) -> Faults:
    kind = path["type"].text
    if kind in REPLACED and not path[REPLACED[kind]]:
        yield path.warning("MHR011", f"{kind} needs {REPLACED[kind]}; our zones keep the path")
    for part in path.given(*REPLACED.values()):
        if _BREAKS.search(part.text):
            yield part.warning("MHR011", "has a line break; a path is one line")


def _check_backend_host(member: Part, *, gateway: bool) -> Faults:
    by_backend = member["hostToBackendHostname"]
    if by_backend.value is not True:
        return
    if not gateway:
        text = "hostToBackendHostname is for gateways only; remove it"
        yield by_backend.fault("MHR013", text)
    if member["hostname"]:
        text = "hostToBackendHostname excludes hostname; remove one"
        yield by_backend.fault("MHR013", text)


def nowhere(value: object) -> Part:
    """A part for what is read and not told."""
    return Part(value, (), lambda _: Position(""))
