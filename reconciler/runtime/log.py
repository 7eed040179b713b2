"""Structured logs: an event name and its fields, one line each. JSON for programs, words on a
terminal.

Only shells log. Values of fields whose names speak of secrets never get this far; `HIDDEN` is the
last guard.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

HIDDEN = ("token", "password", "secret", "key_pem", "authorization")
VALUE_MAX = 2000  # characters


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **{key: _shown(key, value) for key, value in fields.items()},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class Words(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        fields = getattr(record, "fields", {})
        words = " ".join(f"{key}={_shown(key, value)}" for key, value in fields.items())
        text = f"{moment} {record.levelname.lower():7} {record.getMessage()} {words}".rstrip()
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def _shown(key: str, value: object) -> object:
    if any(word in key.lower() for word in HIDDEN):
        return "[hidden]"
    return value[:VALUE_MAX] if isinstance(value, str) else value


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
    words = ("failed", "refused", "rejected", "missing", "problem", "disconnected")
    level = logging.WARNING if any(word in event for word in words) else logging.INFO
    log.log(level, event, extra={"fields": fields})
