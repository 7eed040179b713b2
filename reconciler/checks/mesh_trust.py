"""MeshTrust: the authorities by which a trust domain is verified."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from reconciler.part import Part, not_empty, required

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

_BEGIN = re.compile(r"(?:\A|\n)-----BEGIN ([^\n]*?)-----[ \t\r]*(?:\n|\Z)")
_HEADER = re.compile(r"[^\n:]*:[^\n]*(?:\n|\Z)")
_END = "-----END "
_PRIVATE = [f"{kind}PRIVATE KEY" for kind in ("", "RSA ", "EC ", "DSA ", "ENCRYPTED ")]


def check(spec: Mapping[str, object], at: At) -> Faults:
    document = Part(spec, (), at)
    yield from not_empty(document["trustDomain"], "write the part behind spiffe://")
    for bundle in document["caBundles"].items():
        if bundle["type"].text != "Pem":
            continue  # The schema has said so.
        pem = bundle["pem"]
        yield from required(pem, "write value: with the certificates in PEM")
        found = first_block(pem["value"].text) if pem else "CERTIFICATE"
        if found in _PRIVATE:
            yield pem["value"].fault("VAL010", "value is a private key; take it out of Git at once")
        elif found is None:
            text = "value has no block of PEM; it begins with -----BEGIN CERTIFICATE-----"
            yield pem["value"].fault("VAL010", text)
        elif found != "CERTIFICATE":
            text = f'value begins with a "{found[:60]}", and no proxy takes it; write certificates'
            yield pem["value"].warning("VAL010", text)


def first_block(text: str) -> str | None:
    """What the first block of PEM in a text says it is. As for Go, a broken one is passed over."""
    at = 0
    while (begin := _BEGIN.search(text, at)) is not None:
        kind, at = begin[1], begin.end()
        rest = at
        while (header := _HEADER.match(text, rest)) is not None:
            rest = header.end()
        if rest == at and text.startswith(_END, rest):
            end = rest
        else:
            found = text.find(f"\n{_END}", rest)
            if found < 0:
                at = max(at - 1, begin.start() + 1)
                continue
            end = found + 1
        closing = text[end + len(_END) :].split("\n", 1)[0].rstrip(" \t\r")
        if closing == f"{kind}-----" and _is_base64(text[rest:end]):
            return kind
        at = max(at - 1, begin.start() + 1)
    return None


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(re.sub(r"[ \t\r\n]", "", text), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
