"""Where a repository is: a path of this machine, or a server reached over git://, ssh or https."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from reconciler.git.errors import Permanent

SERVER_SCHEMES = ("git", "ssh", "https", "http")
HELPER_FORM = re.compile(r"^[\w+.-]+::")  # ext::, fd:: and others run a program of their choice
SCP_FORM = re.compile(r"^[\w.-]+@[\w.-]+:(?!//)")
CREDENTIALS_IN_URL = re.compile(r"(?<=://)[^/]+@")


@dataclass(frozen=True, slots=True)
class Address:
    """`path` is set for a local repository, `url` is what libgit2 is given.

    `token` answers an https server that asks for a password, `ssh_key` is the file of a private key
    (without one the ssh agent is asked). Neither is ever printed.
    """

    url: str
    path: Path | None = None
    token: str | None = field(default=None, repr=False)
    ssh_key: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return CREDENTIALS_IN_URL.sub("", self.url)


def address(text: str, *, token: str | None = None, ssh_key: str | None = None) -> Address:
    """Read a path, file://, git://, ssh://, https:// or user@host:path; others are Permanent."""
    if not text.isprintable():
        raise Permanent(f"{text!a}: an address has no line breaks or control characters")
    scheme, separator, _ = text.partition("://")
    if separator and scheme == "file":
        path = Path(unquote(urlsplit(text).path)).absolute()
        return Address(str(path), path)
    if separator and scheme in SERVER_SCHEMES:
        return _server(text, token, ssh_key)
    if separator or HELPER_FORM.match(text):
        spoken = scheme + separator if separator else f"{text.partition('::')[0]}::"
        raise Permanent(
            f"{CREDENTIALS_IN_URL.sub('', text)}: cannot speak {spoken}; "
            "give a path, file://, git://, ssh:// or https://"
        )
    if SCP_FORM.match(text) and not Path(text).exists():
        user_host, _, path_text = text.partition(":")
        return _server(f"ssh://{user_host}/{path_text.lstrip('/')}", token, ssh_key)
    path = Path(text).expanduser().absolute()
    return Address(str(path), path)


def _server(url: str, token: str | None, ssh_key: str | None) -> Address:
    """What a program could take for an option is no host and no user."""
    shown = CREDENTIALS_IN_URL.sub("", url)
    try:
        parts = urlsplit(url)
        host, user, _ = parts.hostname, parts.username, parts.port
    except ValueError as error:
        raise Permanent(f"{shown}: {error}; give host, or host:port") from error
    if not host:
        raise Permanent(f"{shown} names no host; write it between // and /")
    if host.startswith("-") or (user or "").startswith("-"):
        raise Permanent(f"{shown}: a host or user that begins with - would be taken for an option")
    return Address(url, None, token, ssh_key)
