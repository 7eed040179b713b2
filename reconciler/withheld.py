"""A message about a key or a password does not quote it: it goes to logs, to CI and to whoever may
read a pull request. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.problems import Problem

INSTEAD = "what stands here"
QUOTED_MAX = 60  # characters of a text that the words of a schema quote
_KINDS = frozenset(
    {"ExternalService", "Mesh", "MeshExternalService", "MeshGateway", "MeshIdentity", "MeshTrust"}
)
# Fields in which Kuma takes a secret as it is, and those whose value it may be by mistake.
_ALWAYS = frozenset({"inline", "inlineString", "insecureInline", "password", "privateKey"})
_IN_KINDS = _ALWAYS | {"caCert", "cert", "clientCert", "clientKey", "key", "token"}


def withheld(problems: Sequence[Problem], document: object) -> Iterator[Problem]:
    """The same, without what stands in fields of the document that may hold a secret."""
    secrets = tuple(_secrets(document)) if problems else ()
    for problem in problems:
        text = problem.message
        for secret in secrets:
            text = secret.sub(INSTEAD, text)
        yield problem if text == problem.message else replace(problem, message=text)


def _secrets(document: object) -> Iterator[re.Pattern[str]]:
    """As messages would show them."""
    if not isinstance(document, Mapping):
        return
    kinds = {str(document.get("type")), str(document.get("kind"))}
    names = _ALWAYS if _KINDS.isdisjoint(kinds) else _IN_KINDS
    for value in _leaves(document, names, secretive=False):
        if isinstance(value, str) and value:
            begin = re.escape(value[:QUOTED_MAX])
            yield re.compile(f"[\"']{begin}(?:{re.escape(value[QUOTED_MAX:])})?[\"']")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield re.compile(rf"(?<![\w.]){re.escape(json.dumps(value))}(?!\w)")


def _leaves(value: object, names: frozenset[str], *, secretive: bool) -> Iterator[object]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, names, secretive=secretive or name in names)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, names, secretive=secretive)
    elif secretive:
        yield value
