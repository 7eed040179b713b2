"""Keys and tokens are taken out of what Envoy shows; all else stays as it was, byte for byte."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.redaction import SECRET_FIELDS, SECRET_HEADERS, NotJson, redacted

PEM = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJOYW1lIjoid2ViIn0.c2ln"


def shown(document: object) -> Any:
    return json.loads(redacted(json.dumps(document).encode()))


@pytest.mark.parametrize(
    "document",
    [
        {"initial_metadata": [{"key": "authorization", "value": "SECRET"}]},
        {"initial_metadata": [{"value": "SECRET", "key": "authorization"}]},
        {"header": {"key": "Authorization", "raw_value": "SECRET"}, "append": True},
        {"headers": [{"name": "authorization", "string_match": {"exact": "SECRET"}}]},
        {"authorization": "SECRET"},
        {"private_key": {"inline_string": "SECRET"}},
        {"private_key": {"deep": [{"er": "SECRET"}], "x": "SECRET"}},
        {"tls_certificates": [{"private_key": "SECRET"}]},
        {"session_ticket_keys": {"keys": [{"inline_bytes": "SECRET"}]}},
        {"anything": PEM.replace("AAAA", "SECRET")},
        [PEM.replace("AAAA", "SECRET")],
        PEM.replace("AAAA", "SECRET"),
        {"a": "Bearer " + JWT.replace("c2ln", "SECRET")},
        {"a": {"b": [JWT.replace("c2ln", "SECRET")]}},
    ],
)
def test_secrets_are_found_wherever_they_stand(document: object) -> None:
    text = redacted(json.dumps(document).encode())
    assert b"SECRET" not in text
    assert b"[redacted]" in text
    json.loads(text)


def test_a_key_in_base64_is_found() -> None:
    encoded = base64.b64encode(PEM.encode()).decode()
    assert shown({"inline_bytes": encoded}) == {"inline_bytes": "[redacted]"}


@pytest.mark.parametrize(
    "document",
    [
        {"key": "x-team", "value": "shown"},
        {"request_headers_to_remove": ["authorization"]},
        {
            "certificate_chain": {
                "inline_bytes": base64.b64encode(b"-----BEGIN CERTIFICATE-----").decode()
            }
        },
        {"name": "envoy.filters.http.rbac", "value": "shown"},
        {"private": "shown", "keys": ["authorization", "shown"]},
        {"trusted_ca": {"inline_string": "-----BEGIN CERTIFICATE-----\nAA\n"}},
    ],
)
def test_what_is_no_secret_stays(document: object) -> None:
    assert shown(document) == document


def test_text_around_a_secret_is_untouched() -> None:
    text = b'{ "a" : 1e3,\n "private_key" : {"inline_string":"x\\"\\u00e9"} ,"b":[null, true]}\n'
    assert redacted(text) == text.replace(b'"x\\"\\u00e9"', b'"[redacted]"')


def tells_nothing(text: str) -> bool:
    """No name of a secret, and no beginning of one: Hypothesis tries words of the program, too."""
    beginnings = ("bearer ", "eyj", "ls0tls1crudjti")
    names = SECRET_FIELDS | SECRET_HEADERS
    quoted = json.dumps(text.lower()).encode()
    return quoted not in names and not text.lower().startswith((*beginnings, "-----"))


texts = st.text().filter(tells_nothing)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
)


@given(values)
def test_any_json_comes_back_as_it_was(document: Any) -> None:
    text = json.dumps(document, ensure_ascii=False).encode()
    assert redacted(text) == text


@given(values, st.sampled_from(["private_key", "password"]))
def test_no_text_below_a_secret_field_is_left(document: Any, name: str) -> None:
    def hidden(value: Any) -> Any:
        match value:
            case str():
                return "[redacted]"
            case list():
                return [hidden(item) for item in value]
            case dict():
                return {key: hidden(item) for key, item in value.items()}
            case _:
                return value

    assert shown({"a": "kept", name: document}) == {"a": "kept", name: hidden(document)}


@pytest.mark.parametrize("text", [b"", b"  ", b'{"a": [1, 2', b"[}", b"]", b'{"a": "b"'])
def test_half_a_document_is_an_error(text: bytes) -> None:
    with pytest.raises(NotJson):
        redacted(text)


def test_a_large_dump_is_walked_in_steps() -> None:
    """In time that grows with its size only: half a megabyte a tenth of a second and more."""
    text = json.dumps([{"key": "x", "value": "y" * 20, "n": {"m": [1, 2]}}] * 20_000).encode()
    assert redacted(text) == text
