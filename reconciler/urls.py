"""URLs, paths of files, host and port as Kuma's API takes them: more than their standards do and,
here and there, less. Pure.
"""

from __future__ import annotations

import re

from reconciler.addresses import is_ip

URL_LENGTH_LEAST, URL_LENGTH_MOST = 4, 2082
HOST_LENGTH_MAX = 255
PATH_LENGTH_MAX = 32767  # of a Windows path, behind the drive
_ANY = "a-zA-Z\u00a1-\uffff0-9"
_WORD = "[a-zA-Z0-9]"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SPACE = re.compile(r"[\t\n\f\r ]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_USER = re.compile(r"[a-zA-Z0-9\-._:~!$&'()*+,;=%@]*")
_URL_SCHEME = re.compile(r"(?:(?:ftp|tcp|udp|wss?|https?)://)?")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.\-]*:")
_PORT = re.compile(r"(?::[0-9]*)?")
_TAIL = re.compile(r"\.?(?::[0-9]{1,5})?(?:[/?#][^\t\n\f\r ]*)?")
_IP_HOST = re.compile(
    r"(?:[1-9]\d?|1\d\d|2[01]\d|22[0-3]|24\d|25[0-5])"
    r"(?:\.(?:\d{1,2}|1\d\d|2[0-4]\d|25[0-5])){3}",
    re.ASCII,
)
# Of a name, the end that may have letters of any alphabet; a word or a name in front of it may
# have more hyphens and underscores, in Latin letters.
_HOST = re.compile(
    rf"(?:{_WORD}[a-zA-Z0-9_\-]*{_WORD}(?:[.\-]{_WORD}+)*"
    rf"|www\.|(?:{_WORD}+[-_.])*{_WORD}{{2,}}\.{_WORD}+)?"
    rf"[{_ANY}]+(?:--?[{_ANY}]+)*(?:\.[a-zA-Z\u00a1-\uffff]+)?"
)
_UNIX_PATH = re.compile(r"/[^\x00]*")
_WINDOWS_PATH = re.compile(r'[a-zA-Z]:\\(?:[^\\/:*?"<>|\r\n]+\\)*[^\\/:*?"<>|\r\n]*')
_HTTP_HOST_PORT = re.compile(
    r"http://(?P<host>\[[0-9a-fA-F:.]+\]|[^/?#@:\[\]]*):(?P<port>[0-9]+)\??"
)
_HOST_CHARACTERS = re.compile(r"[^\x00-\x20\x7f%\\^`{|}]*")
PORT_MAX = 65535


def is_file_path(text: str) -> bool:
    """An absolute path, of Unix or Windows."""
    if _UNIX_PATH.fullmatch(text):
        return True
    return len(text) <= PATH_LENGTH_MAX + 3 and _WINDOWS_PATH.fullmatch(text) is not None


def is_url(text: str) -> bool:
    """With or without a scheme; without one, host and port are enough, or a host with a dot."""
    if not URL_LENGTH_LEAST <= len(text) <= URL_LENGTH_MOST or text.startswith("."):
        return False
    has_scheme = "://" in text or ":" not in text
    if not _is_parsed(text if has_scheme else f"http://{text}"):
        return False
    # A user may stand in front, whatever is in it: a host may begin behind each @.
    before = _SPACE.search(text)
    end = before.start() if before else len(text)
    starts = [len(_scheme_of(text)), *(i + 1 for i, c in enumerate(text[:end]) if c == "@" and i)]
    return any(_is_host_and_rest(text[start:]) for start in starts)


def is_http_host_and_port(text: str) -> bool:
    """`http://host:port` and nothing else."""
    found = _HTTP_HOST_PORT.fullmatch(text[:7].lower() + text[7:])
    if found is None or not _HOST_CHARACTERS.fullmatch(found["host"]):
        return False
    return len(found["port"]) <= 20 and 1 <= int(found["port"]) <= PORT_MAX


def host_and_port(text: str) -> tuple[str, str] | None:
    """Something, a colon and something, both may be empty: a host with colons in it stands in
    brackets, which are no part of it.
    """
    host, colon, port = text.rpartition(":")
    if not colon or "[" in port or "]" in port:
        return None
    if not host.startswith("["):
        return None if set(host) & set(":[]") else (host, port)
    inner = host[1:-1]
    return (inner, port) if host.endswith("]") and not set(inner) & set("[]") else None


def _scheme_of(text: str) -> str:
    found = _URL_SCHEME.match(text)
    return found[0] if found else ""


def _is_parsed(text: str) -> bool:
    """What a reader of URLs makes of it before anybody looks at its parts."""
    rest, _, fragment = text.partition("#")
    if _CONTROL.search(text) or rest.startswith(":") or _BAD_ESCAPE.search(fragment):
        return False
    scheme = _SCHEME.match(rest)
    rest = rest[scheme.end() if scheme else 0 :].partition("?")[0]
    if not rest.startswith("/"):
        # Behind a scheme it is opaque; without one, a colon would end a scheme.
        return scheme is not None or (
            ":" not in rest.partition("/")[0] and _is_path(rest, without_host=True)
        )
    if not rest.startswith("//") or (scheme is None and rest.startswith("///")):
        return _is_path(rest, without_host=True)
    authority, slash, path = rest[2:].partition("/")
    user, at, host = authority.rpartition("@")
    if at and (not _USER.fullmatch(user) or _BAD_ESCAPE.search(user)):
        return False
    return _is_host(host) and _is_path(slash + path, without_host=not host)


def _is_path(path: str, *, without_host: bool) -> bool:
    has_dot = "." in path or "%2e" in path.lower()
    return not _BAD_ESCAPE.search(path) and not (without_host and path and not has_dot)


def _is_host(host: str) -> bool:
    """With its port. A name of one dot in front is none."""
    head, bracket, port = host.rpartition("]")
    if not bracket and not host.startswith("["):
        head, colon, port = host.partition(":")
        port = colon + port
    elif not host.startswith("["):
        return False
    return (
        not host.startswith(".")
        and _PORT.fullmatch(port) is not None
        and _HOST_CHARACTERS.fullmatch(head) is not None
    )


def _is_host_and_rest(text: str) -> bool:
    if text.startswith("["):
        inner, closed, tail = text[1:].partition("]")
        return bool(closed) and is_ip(inner) and ":" in inner and bool(_TAIL.fullmatch(tail))
    end = next((at for at, letter in enumerate(text) if letter in "/?#:"), len(text))
    host, tail = text[:end], text[end:]
    if len(host) > HOST_LENGTH_MAX or not _TAIL.fullmatch(tail):
        return False
    names = {host, host.removesuffix(".")}
    return any(_IP_HOST.fullmatch(name) or _HOST.fullmatch(name) for name in names)
