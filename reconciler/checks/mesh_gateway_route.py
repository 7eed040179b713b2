"""MeshGatewayRoute: where the requests to a gateway go.

Kuma names some fields of this kind as its .proto file does (`request_header`), and so do we.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.checks.selectors import service_sources, service_tags
from reconciler.checks.values import percent
from reconciler.part import Part, in_range, not_allowed, not_empty, port, required
from reconciler.policies import re2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

STATUS_LEAST, STATUS_MOST = 300, 308
STATUSES_OF_ENVOY = (301, 302, 303, 307, 308)
HOST_HEADERS = (":authority", "Host", "host")


def check(spec: Mapping[str, object], at: At) -> Faults:
    document = Part(spec, (), at)
    yield from service_sources(document["selectors"])
    conf = document["conf"]
    if not conf.given("tcp", "http"):
        yield conf.fault("VAL008", "conf needs a route; write http with its rules")
    if conf["http"]:
        rules = conf["http"]["rules"]
        yield from not_empty(rules, "write a rule with matches and backends")
        for rule in rules.items():
            yield from _rule(rule)


def _rule(rule: Part) -> Faults:
    matches = list(rule["matches"].items())
    if not matches:
        yield from not_empty(rule["matches"], "write a match such as {path: {value: /}}")
        return
    for match in matches:
        yield from _match(match)
    filters = list(rule["filters"].items())
    by_backend = [f for f in filters if f["rewrite"]["hostToBackendHostname"].value is True]
    others = [f for f in filters if f not in by_backend]
    has_prefix = any(match["path"]["match"].value == "PREFIX" for match in matches)
    for index, each in enumerate(others):
        # Kuma counts without those that take the host of the backend.
        place = Part(each.value, (*rule.path, "filters", index), rule.at)
        yield from _filter(place, has_prefix=has_prefix, takes_host=bool(by_backend))
    redirects = any(each["redirect"] for each in others)
    if redirects and len(filters) != 1:
        text = "a redirect is the only filter of its rule; remove the others"
        yield rule["filters"].fault("VAL007", text)
        return
    backends = rule["backends"]
    if not redirects:
        yield from not_empty(backends, "write where requests go, or a redirect")
    elif any(True for _ in backends.items()):
        yield from not_allowed(backends, "a redirect is the answer, and nothing is called")
    for backend in backends.items():
        yield from _backend(backend)
    shares = [backend["weight"].value for backend in backends.items()]
    if len(shares) > 1 and not any(shares):
        text = "Kuma takes backends of no weight, and Envoy does not; write weight: 1 to each"
        yield backends.warning("VAL003", text)


def _match(match: Part) -> Faults:
    path = match["path"]
    any_header = any(True for _ in match["headers"].items())
    any_query = any(True for _ in match["queryParameters"].items())
    has_method = match["method"].value not in (None, "NONE")
    if not (path or has_method or any_header or any_query):
        yield match.fault("VAL008", "a match asks for something; write path, method or headers")
    if path:
        yield from _path(match)
    for header in match["headers"].items():
        yield from not_empty(header["name"], "write the name of the header")
        if header["match"].value in ("ABSENT", "PRESENT"):
            if header["value"].text:
                yield from not_allowed(header["value"], "only whether it is there is asked")
        else:
            yield from not_empty(header["value"], "write the value to compare with")
            yield from _expression(header, header["value"])
    for query in match["queryParameters"].items():
        place = Part(query.value, (*match.path, "query_parameters", query.path[-1]), match.at)
        yield from not_empty(place["name"], "write the name of the parameter")
        yield from not_empty(place["value"], "write the value to compare with")
        yield from _expression(query, place["value"])


def _expression(match: Part, value: Part) -> Faults:
    """What is no expression costs the proxy all of its routes."""
    if match["match"].value == "REGEX":
        for fault in re2.faults(value.text):
            text = f"Kuma takes it, and Envoy does not: {fault}; correct it"
            yield value.warning("VAL010", text)


def _path(match: Part) -> Faults:
    """Kuma names the value as if it stood in the match itself."""
    text = match["path"]["value"].text
    place = Part(text, (*match.path, "value"), match.at)
    if match["path"]["match"].value == "REGEX":
        yield from not_empty(place, "write the expression for the path")
        yield from _expression(match["path"], place)
    elif not text.startswith("/"):
        yield place.fault("VAL010", f'path "{text[:60]}" is not absolute; begin it with /')


def _filter(each: Part, *, has_prefix: bool, takes_host: bool) -> Faults:
    if each["requestHeader"]:
        place = Part(each["requestHeader"].value, (*each.path, "request_header"), each.at)
        yield from _headers(place, takes_host=takes_host)
    if each["redirect"]:
        redirect = each["redirect"]
        if redirect["port"].value:
            yield from port(redirect["port"])
        status = Part(redirect["statusCode"].value, (*redirect.path, "status_code"), each.at)
        if status:
            yield from in_range(status, STATUS_LEAST, STATUS_MOST)
            yield from _no_redirect(status)
        else:
            yield from required(status, "write a status such as 302")
    if each["mirror"]:
        mirror = each["mirror"]
        yield from required(mirror["percentage"], "write how many requests, 0 to 100")
        yield from percent(mirror["percentage"])
        yield from required(mirror["backend"], "write its destination")
        if mirror["backend"]:
            yield from _backend(mirror["backend"])
    prefix = each["rewrite"]["replacePrefixMatch"]
    if not has_prefix:
        yield from not_allowed(prefix, "no match of the rule is of a PREFIX")


def _no_redirect(status: Part) -> Faults:
    number = status.number or 0
    if STATUS_LEAST <= number <= STATUS_MOST and number not in STATUSES_OF_ENVOY:
        text = f"Kuma takes the status {number}, and Envoy cannot redirect with it; write 302"
        yield status.warning("VAL003", text)


def _headers(headers: Part, *, takes_host: bool) -> Faults:
    changes = [each for name in ("set", "add", "remove") for each in headers[name].items()]
    if not changes:
        yield headers.fault("VAL008", "a filter changes a header; write set, add or remove")
    for header in (*headers["set"].items(), *headers["add"].items()):
        name = header["name"]
        yield from not_empty(name, "write the name of the header")
        if takes_host and name.text in HOST_HEADERS:
            text = f"{name.text} is that of the backend already; remove this or the rewrite"
            yield header.fault("VAL007", text)
        yield from not_empty(header["value"], "write the header's value")
    for removed in headers["remove"].items():
        yield from not_empty(removed, "write the name of the header")


def _backend(backend: Part) -> Faults:
    """Kuma names the tags as if they stood in the backend itself."""
    yield from service_tags(Part(backend["destination"].value, backend.path, backend.at))
