"""TrafficRoute: to which instances a client's calls go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.checks.selectors import service_destinations, service_sources, service_tags
from reconciler.part import Part, exactly_one, not_empty, required, word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

HASHES = ("XX_HASH", "MURMUR_HASH_2")
UINT32 = 2**32
MATCHERS = ("exact", "prefix", "regex")


def check(spec: Mapping[str, object], at: At) -> Faults:
    document = Part(spec, (), at)
    yield from service_sources(document["sources"])
    yield from service_destinations(document["destinations"])
    conf = document["conf"]
    yield from required(conf, "write a destination or a split")
    if not conf:
        return
    yield from _target(conf)
    for http in conf["http"].items():
        yield from _match(http["match"])
        yield from _modify(http["modify"], http["match"])
        yield from _target(http)
    yield from _load_balancer(conf["loadBalancer"])


def _target(part: Part) -> Faults:
    """Where to: one destination, or several with their weights. An empty split is none."""
    split, destination = part["split"], part["destination"]
    if not split.value and not destination:
        yield part.fault("VAL008", "it leads nowhere; write destination or split")
    if split.value and destination:
        text = "destination and split exclude each other; keep one of them"
        yield part.fault("VAL007", text)
    if split.value:
        yield from _split(split)
    if destination:
        yield from service_tags(destination)


def _split(split: Part) -> Faults:
    total = 0
    for entry in split.items():
        yield from required(entry["weight"], "write its share, such as 10")
        total += int(entry["weight"].number or 0)
        yield from service_tags(entry["destination"])
    if total % UINT32 == 0:
        yield split.fault("VAL003", "no weight is above 0; write one that is")


def _match(match: Part) -> Faults:
    if not match.given("path", "method", "headers"):
        yield match.fault("VAL008", "it says not which requests; write path, method or headers")
    for matcher in match.given("method", "path"):
        yield from _matcher(matcher)
    headers = match["headers"]
    if headers:
        yield from not_empty(headers, "write the name of a header, or remove headers")
    for name, matcher in headers.entries():
        if not name:
            yield matcher.fault("VAL002", "the name of a header is empty; write it")
        yield from _matcher(matcher)


def _matcher(matcher: Part) -> Faults:
    yield from exactly_one(matcher, *MATCHERS)
    for part in matcher.given("prefix", "regex"):
        yield from not_empty(part, "write the text to look for")


def _modify(modify: Part, match: Part) -> Faults:
    path, host = modify["path"], modify["host"]
    if path:
        yield from exactly_one(path, "rewritePrefix", "regex")
    prefix = path["rewritePrefix"]
    if prefix:
        yield from not_empty(prefix, "write what the path begins with afterwards")
    if prefix.text and not match["path"]["prefix"].text:
        text = "only a prefix can be rewritten; write match.path.prefix, or use regex"
        yield prefix.fault("VAL011", text)
    if host:
        yield from exactly_one(host, "value", "fromPath")
    if host["value"]:
        yield from not_empty(host["value"], "write the name of the host")
    for replacement in (path["regex"], host["fromPath"]):
        if replacement:
            yield from not_empty(replacement["pattern"], "write what to look for")
            yield from not_empty(replacement["substitution"], "write what stands there afterwards")
    for headers in modify.given("requestHeaders", "responseHeaders"):
        yield from _headers(headers)


def _headers(headers: Part) -> Faults:
    for added in headers["add"].items():
        yield from _name(added["name"])
        yield from not_empty(added["value"], "write the value of the header")
    for removed in headers["remove"].items():
        yield from _name(removed["name"])


def _name(name: Part) -> Faults:
    yield from not_empty(name, "write the name of a header")
    if name.text.startswith(":") or name.text in ("host", "Host"):
        text = f"{name.text} is no header to change; for the host write modify.host"
        yield name.fault("VAL011", text)


def _load_balancer(balancer: Part) -> Faults:
    choices = balancer["leastRequest"]["choiceCount"]
    if choices.number == 1:
        yield choices.fault("VAL003", "one choice is none; write 2 or more")
    ring = balancer["ringHash"]
    if not ring:
        return
    function = ring["hashFunction"]
    yield from required(function, f"write {' or '.join(HASHES)}")
    yield from word(function, HASHES)
    least, most = ring["minRingSize"].number, ring["maxRingSize"].number
    if least is not None and most and least > most:
        text = "Kuma takes a ring whose least size is over its most, and Envoy does not; swap them"
        yield ring["minRingSize"].warning("VAL003", text)
