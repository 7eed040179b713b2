"""The server certificate of a control plane, kept in its state directory: made on first start."""

from __future__ import annotations

import shutil
import socket
from typing import TYPE_CHECKING

from reconciler.ca.server_tls import ServerTls, hosts_of, new_server_tls
from reconciler.keys.secret_store import sync_folder, write_private

if TYPE_CHECKING:
    from pathlib import Path

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
FILES = ("ca.pem", "cert.pem", "key.pem")


def server_tls(state_dir: Path, name: str, extra_hosts: tuple[str, ...], now: float) -> ServerTls:
    """Reads `tls/`, or makes it when there is none.

    Join files and proxies trust its CA, so a folder that is there is never replaced: raises
    ValueError when one of its files is missing or the certificate lacks one of `extra_hosts`.
    """
    folder = state_dir / "tls"
    cure = "move the folder away to have a new one made (every join file then needs the new CA)"
    if not folder.exists():
        return _made(folder, name, extra_hosts, now)
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        raise ValueError(f"{folder} lacks {', '.join(missing)}: restore it, or {cure}")
    found = ServerTls(*((folder / file).read_bytes() for file in FILES))
    try:
        unnamed = set(extra_hosts) - set(hosts_of(found.cert_pem))
    except ValueError as error:
        raise ValueError(f"{folder / 'cert.pem'} cannot be read: {error}; {cure}") from error
    if unnamed:
        names = ", ".join(sorted(unnamed))
        raise ValueError(f"the certificate in {folder} is not for {names}; {cure}")
    return found


def _made(folder: Path, name: str, extra_hosts: tuple[str, ...], now: float) -> ServerTls:
    """All files or none: the folder gets its name when it is complete and on disk."""
    hosts = tuple(dict.fromkeys((*LOCAL_HOSTS, socket.gethostname(), *extra_hosts)))
    made = new_server_tls(name, hosts, now)
    new = folder.with_name(f"{folder.name}.new")
    if new.exists():  # Of a start that was cut off; nobody has seen what is in it.
        shutil.rmtree(new)
    new.mkdir(mode=0o700)
    for file, value in zip(FILES, (made.ca_pem, made.cert_pem, made.key_pem), strict=True):
        write_private(new / file, value)
    new.rename(folder)
    sync_folder(folder.parent)
    return made
