"""Structured logs: an event name and its fields, one line each. JSON for programs, words on a
terminal.

Only shells log. Values of fields whose names speak of secrets never get this far; `HIDDEN` is the
last guard, and so is `SECRET` for keys and tokens inside a text. What a peer said stays within its
field: it can neither begin a line nor another field.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

HIDDEN = ("token", "password", "secret", "key_pem", "authorization")
SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)"
    r"|\beyJ[\w-]+\.eyJ[\w-]+\.[\w-]+"  # a JWT
    r"|LS0tLS1CRUdJTi[\w+/=\\-]*",  # PEM in base64, as a Secret's resource has it
    re.DOTALL,
)
VALUE_MAX = 2000  # characters
NOTED: Counter[str] = Counter()  # how often each event was noted, for the metrics
DEPTH_MAX = 4
_PLAIN = re.compile(r"[^\s\"=\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            **{key: _shown(key, value) for key, value in _fields(record).items()},
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _clean(record.getMessage()),
        }
        if record.exc_info:
            line["exception"] = _clean(self.formatException(record.exc_info))
        return json.dumps(line, default=str)


class Words(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        words = [f"{key}={_word(_shown(key, value))}" for key, value in _fields(record).items()]
        event = " ".join(_clean(record.getMessage()).splitlines())
        text = " ".join((moment, f"{record.levelname.lower():7}", event, *words))
        if not record.exc_info:
            return text
        return f"{text}\n{_clean(self.formatException(record.exc_info))}"


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    fields = getattr(record, "fields", {})
    return fields if isinstance(fields, Mapping) else {}


def _shown(key: str, value: object, depth: int = 0) -> object:
    """Without secrets and within bounds, however deep they lie."""
    if any(word in key.lower() for word in HIDDEN):
        return "[hidden]"
    match value:
        case str():
            return _clean(value)
        case bytes():
            return f"[{len(value)} bytes]"
        case Mapping() if depth < DEPTH_MAX:
            return {str(k): _shown(str(k), v, depth + 1) for k, v in value.items()}
        case list() | tuple() | set() | frozenset() if depth < DEPTH_MAX:
            return [_shown("", v, depth + 1) for v in value]
        case bool() | int() | float() | None:
            return value
        case _:
            return _clean(str(value))


def _clean(text: str) -> str:
    """Hidden before it is cut, so that no cut end escapes."""
    text = SECRET.sub("[hidden]", text)
    return text if len(text) <= VALUE_MAX else f"{text[:VALUE_MAX]}…"


def fault_of_ours(error: Exception) -> str:
    """What status says of an error that nobody foresaw. Its text may hold anything."""
    return f"internal error, please report it: {type(error).__name__}: {_clean(str(error))}"


def _word(value: object) -> str:
    """One word as it is; everything else quoted and escaped as JSON does."""
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    return json.dumps(value, default=str, ensure_ascii=False).translate(_BREAKS)


# Line breaks that JSON lets pass and terminals or readers of logs obey.
_BREAKS = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}


def configure(*, as_json: bool) -> None:
    """Everything to stderr; libraries from warnings up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else Words())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("reconciler").setLevel(logging.INFO)


def note(log: logging.Logger, event: str, **fields: object) -> None:
    """One event. Failures and refusals are warnings."""
    words = (
        "failed", "refused", "rejected", "missing", "incomplete", "problem", "disconnected",
        "silent",
    )  # fmt: skip
    NOTED[event] += 1
    level = logging.WARNING if any(word in event for word in words) else logging.INFO
    log.log(level, event, extra={"fields": fields})
