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
PEM_KEY = b"PRIVATE KEY-----"
PEM_BASE64 = b'"' + base64.b64encode(b"-----BEGIN ")[:14]
_JWT = re.compile(rb'"(?:Bearer )?eyJ[\w-]+\.eyJ[\w-]+\.[\w-]*"', re.IGNORECASE)
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]', re.DOTALL)


class NotJson(ValueError):
    """The text ends in the middle, or is something else."""


@dataclass(slots=True)
class _Container:
    is_object: bool
    secret: bool  # so are all strings in it
    key: bytes = b""
    wants_key: bool = True
    values: list[tuple[int, int]] | None = None  # strings before the name of a secret header


def redacted(text: bytes) -> bytes:
    """The same JSON with `[redacted]` for what is secret. Raises NotJson."""
    found: list[tuple[int, int]] = []
    stack: list[_Container] = []
    for token in _TOKEN.finditer(text):
        sign = text[token.start()]
        if sign == 0x22:  # "
            _string(token, stack, found)
        elif sign in b"{[":
            stack.append(_Container(sign == 0x7B, secret=_is_secret(stack)))
        elif sign in b"}]":
            if not stack or stack.pop().is_object is not (sign == 0x7D):
                raise NotJson("brackets do not match")
        elif stack:
            stack[-1].wants_key = sign == 0x2C  # , begins the next member, : its value
    if stack or not text.strip():
        raise NotJson("the text ends too early")
    return _replaced(text, sorted(set(found)))


def _is_secret(stack: list[_Container]) -> bool:
    if not stack:
        return False
    above = stack[-1]
    return above.secret or (above.is_object and above.key.lower() in SECRET_FIELDS)


def _string(token: re.Match[bytes], stack: list[_Container], found: list[tuple[int, int]]) -> None:
    value, here = token[0], stack[-1] if stack else None
    if here is None:
        if _tells(value):
            found.append(token.span())
        return
    if here.is_object and here.wants_key:
        here.key, here.wants_key = value, False
        return
    key = here.key.lower() if here.is_object else b""
    if key in NAMES and value.lower() in SECRET_HEADERS:
        here.secret = True  # What follows in this object, and below.
        found += here.values or ()
        return
    if here.secret or key in SECRET_FIELDS or key in SECRET_HEADERS or _tells(value):
        found.append(token.span())
    elif key == b'"value"':
        here.values = [*(here.values or ()), token.span()]


def _tells(value: bytes) -> bool:
    """A key or a token, wherever it stands."""
    if PEM_KEY in value:
        return True
    if value.startswith(PEM_BASE64):
        try:
            return PEM_KEY in base64.b64decode(value[1:-1].replace(b"\\u003d", b"="))
        except ValueError:
            return True
    return value.startswith((b'"eyJ', b'"Bearer ', b'"bearer ')) and bool(_JWT.fullmatch(value))


def _replaced(text: bytes, spans: list[tuple[int, int]]) -> bytes:
    parts, done = [], 0
    for start, end in spans:
        parts += [text[done:start], REDACTED]
        done = end
    return b"".join([*parts, text[done:]])
