"""FaultInjection: delays, errors and slow answers on purpose."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from reconciler.checks.selectors import PROTOCOL, any_selectors
from reconciler.checks.values import no_negative, percent
from reconciler.part import Part, required

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

PROTOCOLS = ("http", "http2", "grpc")
STATUSES = frozenset(HTTPStatus)
_LIMIT = re.compile(r"[gmk]bps")  # anywhere in the text
_LIMIT_IN_USE = re.compile(r"[0-9]+\s?kbps")


def check(spec: Mapping[str, object], at: At) -> Faults:
    document = Part(spec, (), at)
    yield from any_selectors(document["sources"])
    yield from any_selectors(document["destinations"])
    for selector in document["destinations"].items():
        yield from _protocol(selector["match"])
    yield from _conf(document["conf"])


def _protocol(match: Part) -> Faults:
    cure = f"write {PROTOCOL}: http, or http2 or grpc"
    if PROTOCOL not in match.fields:
        yield match.fault("VAL001", f"{PROTOCOL} is missing; {cure}")
    for name, value in match.entries():
        if name == PROTOCOL and value.text.lower() not in PROTOCOLS:
            yield value.fault("VAL006", f'faults are of HTTP alone, not "{value.text}"; {cure}')


def _conf(conf: Part) -> Faults:
    delay, abort, slow = conf["delay"], conf["abort"], conf["responseBandwidth"]
    given = [fault for fault in (delay, abort, slow) if fault.fields]
    if not given:
        yield conf.fault("VAL008", "there is no fault; write delay, abort or responseBandwidth")
    for fault in given:
        yield from required(fault["percentage"], "write how many of a hundred requests it hits")
        yield from percent(fault["percentage"])
    if delay.fields:
        yield from required(delay["value"], "write how long, such as 5s")
        yield from no_negative(delay["value"])
    if abort.fields:
        yield from _status(abort["httpStatus"])
    if slow.fields:
        yield from _limit(slow["limit"])


def _status(status: Part) -> Faults:
    cure = "write one such as 503"
    yield from required(status, cure)
    if status.number is not None and status.number not in STATUSES:
        yield status.fault("VAL003", f"{status.number} is no status of HTTP; {cure}")


def _limit(limit: Part) -> Faults:
    yield from required(limit, "write a speed such as 50kbps")
    if not limit:
        return
    if not _LIMIT.search(limit.text):
        yield limit.fault("VAL010", f'"{limit.text[:60]}" is no speed; write it like 50kbps')
    elif not _LIMIT_IN_USE.fullmatch(limit.text):
        text = "Kuma takes this and its zones cannot use it; write a whole number of kbps"
        yield limit.warning("VAL010", text)
