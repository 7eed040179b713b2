"""Where a repository is: a path of this machine, or a server reached over git://, ssh or https."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from reconciler.git.errors import Permanent

SERVER_SCHEMES = ("git", "ssh", "https", "http")
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
    scheme, separator, _ = text.partition("://")
    if separator and scheme == "file":
        path = Path(unquote(urlsplit(text).path)).absolute()
        return Address(str(path), path)
    if separator and scheme in SERVER_SCHEMES:
        return Address(text, None, token, ssh_key)
    if separator:
        raise Permanent(
            f"{CREDENTIALS_IN_URL.sub('', text)}: cannot speak {scheme}://; "
            "give a path, file://, git://, ssh:// or https://"
        )
    if SCP_FORM.match(text) and not Path(text).exists():
        user_host, _, path_text = text.partition(":")
        return Address(f"ssh://{user_host}/{path_text.lstrip('/')}", None, token, ssh_key)
    path = Path(text).expanduser().absolute()
    return Address(str(path), path)
