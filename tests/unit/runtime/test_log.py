"""Logs: one line an event, no secrets, and no peer that writes lines of its own."""

from __future__ import annotations

import base64
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.ca.authority import new_rsa_key_pem
from reconciler.ca.tokens import dataplane_claims, issue
from reconciler.runtime.log import JsonLines, Words, fault_of_ours, note

NOW = 1_800_000_000.0
KEY = new_rsa_key_pem()
BODY = base64.b64encode(KEY).decode()
TOKEN = issue(KEY, dataplane_claims("default"), NOW, 60)


def logged(formatter: logging.Formatter, event: str, **fields: object) -> str:
    """What `note` gives a handler with this formatter."""
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    log = logging.Logger("reconciler.test", logging.INFO)
    handler = Kept()
    handler.setFormatter(formatter)
    log.addHandler(handler)
    note(log, event, **fields)
    (line,) = lines
    return line


def test_json_line_holds_event_and_fields() -> None:
    line = json.loads(logged(JsonLines(), "revision.published", revision="abc", zones=3))
    assert (line["event"], line["revision"], line["zones"]) == ("revision.published", "abc", 3)
    assert line["level"] == "info"
    assert line["time"].endswith("+00:00")


def test_words_are_for_people() -> None:
    line = logged(Words(), "zone.refused", zone="east", reason='no "token" here', count=2)
    assert line[13:] == ('warning zone.refused zone=east reason="no \\"token\\" here" count=2')


@pytest.mark.parametrize("formatter", [JsonLines(), Words()])
@pytest.mark.parametrize(
    "fields",
    [
        {"token": "raw"},
        {"request": {"dataplaneToken": "raw", "deep": [{"password": "raw"}]}},
        {"key_pem": b"raw"},
        {"body": b"raw"},
        {"reason": f"cannot read {TOKEN}!"},
        {"reason": f"cannot read {KEY.decode()}"},
        {"reason": ValueError(KEY.decode())},
        {"reason": "x" * 1900 + KEY.decode()},
        {"reasons": (TOKEN,)},
        {"reason": ValueError({"data": BODY})},
    ],
)
def test_secrets_are_not_logged(formatter: logging.Formatter, fields: dict[str, object]) -> None:
    line = logged(formatter, "bootstrap.asked", **fields)
    assert "raw" not in line
    assert TOKEN[20:60] not in line
    assert KEY.decode().splitlines()[1][:30] not in line
    assert BODY[60:120] not in line


def test_secret_in_an_exception_is_not_logged() -> None:
    try:
        raise ValueError(TOKEN)
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("reconciler", logging.ERROR, __file__, 1, "failed", None, info)
    for formatter in (JsonLines(), Words()):
        line = formatter.format(record)
        assert TOKEN[20:60] not in line
        assert "ValueError" in line


@given(st.text(), st.text())
def test_what_a_peer_says_stays_in_its_field(event: str, said: str) -> None:
    """Any text: still one line, and JSON of it gives the text back (cut at its bound)."""
    words = logged(Words(), "zone.refused", reason=said)
    assert len(words.splitlines()) == 1
    assert len(logged(Words(), event, reason="x").splitlines()) == 1
    line = logged(JsonLines(), "zone.refused", reason=said)
    assert len(line.splitlines()) == 1
    assert json.loads(line)["reason"] == said


def test_field_cannot_pass_for_the_event() -> None:
    line = logged(Words(), "zone.refused", zone='east" event=all.good')
    assert line.endswith('zone="east\\" event=all.good"')
    fields: dict[str, object] = {"level": "debug", "time": "never", "event": "other"}
    record = logging.LogRecord("reconciler", logging.WARNING, __file__, 1, "real", None, None)
    record.fields = fields
    assert json.loads(JsonLines().format(record))["event"] == "real"


def test_what_status_says_of_a_fault_of_ours_holds_no_secret() -> None:
    for secret in (KEY.decode(), BODY, TOKEN):
        text = fault_of_ours(KeyError({"data": secret}))
        assert text.startswith("internal error, please report it: KeyError: ")
        assert secret[-60:-20] not in text


def test_long_value_is_cut() -> None:
    assert len(logged(Words(), "x", reason="a" * 100_000)) < 2100
