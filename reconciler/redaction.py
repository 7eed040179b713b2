"""Takes secrets out of Envoy's JSON before anybody sees it. Pure.

A configuration dump may have tens of megabytes, and parsing it would hold the interpreter for as
long as it takes. This walks over its tokens instead, so that other threads go on, and changes
nothing but the strings that are secret.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

REDACTED = b'"[redacted]"'
# Whatever stands below a member of this name: keys, passwords, tickets (Envoy's own names).
SECRET_FIELDS = frozenset(
    (
        b'"private_key"',
        b'"private_key_provider"',
        b'"password"',
        b'"pkcs12"',
        b'"session_ticket_keys"',
        b'"generic_secret"',
        b'"access_token"',
    )
)
SECRET_HEADERS = frozenset((b'"authorization"', b'"proxy-authorization"'))
NAMES = frozenset((b'"key"', b'"name"', b'"header_name"'))  # of a header, beside its value
VALUES = frozenset((b'"value"', b'"raw_value"'))
PEM_KEY = b"PRIVATE KEY-----"
PEM_BASE64 = b'"' + base64.b64encode(b"-----BEGIN ")[:14]
_JWT = re.compile(rb'"(?:Bearer )?eyJ[\w-]+\.eyJ[\w-]+\.[\w-]*"', re.IGNORECASE)
_STARTS = (PEM_BASE64, b'"eyJ', b'"Bearer ', b'"bearer ')
# A string, with the colon that makes it the name of a member; or a bracket.
_TOKEN = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|[{}\[\]]', re.DOTALL)
_STRING, _NAME = 1, 2  # groups


class NotJson(ValueError):
    """The text ends in the middle, or is something else."""


@dataclass(slots=True)
class _Container:
    is_object: bool
    secret: bool  # so are all strings in it
    key: bytes = b""  # of the member that comes, in quotes
    values: list[tuple[int, int]] | None = None  # strings before the name of a secret header


def redacted(text: bytes) -> bytes:
    """The same JSON with `[redacted]` for what is secret. Raises NotJson."""
    found: list[tuple[int, int]] = []
    here = _Container(is_object=False, secret=False)
    stack: list[_Container] = []
    for token in _TOKEN.finditer(text):
        if token.lastindex == _NAME:
            here.key = token[_STRING]
        elif token.lastindex == _STRING:
            _string(token, here, found)
        elif (sign := token[0]) in (b"{", b"["):
            secret = here.secret or here.key in SECRET_FIELDS
            stack.append(here)
            here = _Container(sign == b"{", secret)
        elif not stack or here.is_object is not (sign == b"}"):
            raise NotJson("brackets do not match")
        else:
            here = stack.pop()
    if stack or not text.strip():
        raise NotJson("the text ends too early")
    return _replaced(text, sorted(set(found)))


def _string(token: re.Match[bytes], here: _Container, found: list[tuple[int, int]]) -> None:
    value, key = token[_STRING], here.key
    if key in NAMES and value.lower() in SECRET_HEADERS:
        here.secret = True  # What follows in this object, and below.
        found += here.values or ()
    elif here.secret or key in SECRET_FIELDS or key.lower() in SECRET_HEADERS or _tells(value):
        found.append(token.span(_STRING))
    elif key in VALUES:
        here.values = [*(here.values or ()), token.span(_STRING)]


def _tells(value: bytes) -> bool:
    """A key or a token, wherever it stands."""
    if PEM_KEY in value:
        return True
    if not value.startswith(_STARTS):
        return False
    if not value.startswith(PEM_BASE64):
        return bool(_JWT.fullmatch(value))
    try:
        return PEM_KEY in base64.b64decode(value[1:-1].replace(b"\\u003d", b"="))
    except ValueError:
        return True


def _replaced(text: bytes, spans: list[tuple[int, int]]) -> bytes:
    parts, done = [], 0
    for start, end in spans:
        parts += [text[done:start], REDACTED]
        done = end
    return b"".join([*parts, text[done:]])
