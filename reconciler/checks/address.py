"""URLs as the conf of a Mesh's backends takes them, which is otherwise than policies do."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"(?:[A-Za-z0-9\-_.~!$&'()*+,;=:<>\"]|[^\x00-\x7f]|%[89A-Fa-f][0-9A-Fa-f])*")
_BRACKETS = re.compile(r"\[[^\]\s]*\]")
_USER = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
_PORT = re.compile(r"(:[0-9]*)?")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def is_request_url(text: str) -> bool:
    """An absolute URL, or a path from its root on."""
    if not text or _CONTROL.search(text):
        return False
    scheme = _SCHEME.match(text)
    rest = text[scheme.end() :] if scheme else text
    if text.startswith(":"):
        return False
    if not rest.startswith("/"):
        return scheme is not None
    path = rest.partition("?")[0]
    if scheme and path.startswith("//"):
        authority, slash, path = path[2:].partition("/")
        path = slash + path
        if not _is_authority(authority):
            return False
    return _BAD_ESCAPE.search(path) is None


def port_in_url(text: str) -> str:
    """Empty where the URL names none."""
    scheme = _SCHEME.match(text)
    rest = text[scheme.end() :] if scheme else ""
    if not rest.startswith("//"):
        return ""
    authority = rest.partition("?")[0][2:].partition("/")[0].rpartition("@")[2]
    host, colon, port = authority.rpartition(":")
    inside = host.startswith("[") and not host.endswith("]")
    return port if colon and port.isdecimal() and not inside else ""


def _is_authority(text: str) -> bool:
    user, _, host = text.rpartition("@")
    if _USER.fullmatch(user) is None or _BAD_ESCAPE.search(user):
        return False
    if host.startswith("["):
        found = _BRACKETS.match(host)
        return found is not None and _PORT.fullmatch(host[found.end() :]) is not None
    name, colon, port = host.rpartition(":")
    if colon and (port and not port.isdecimal()):
        return False
    return _HOST.fullmatch(name if colon else host) is not None
