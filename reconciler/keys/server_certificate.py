"""The server certificate of a control plane, kept in its state directory: made on first start."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from reconciler.ca.server_tls import ServerTls, hosts_of, new_server_tls
from reconciler.keys.secret_store import write_private

if TYPE_CHECKING:
    from pathlib import Path

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


def server_tls(state_dir: Path, name: str, extra_hosts: tuple[str, ...], now: float) -> ServerTls:
    """Reads `tls/`, or makes it. A certificate that lacks one of `extra_hosts` is kept and named in
    the error.
    """
    folder = state_dir / "tls"
    files = [folder / part for part in ("ca.pem", "cert.pem", "key.pem")]
    if all(file.exists() for file in files):
        found = ServerTls(*(file.read_bytes() for file in files))
        missing = set(extra_hosts) - set(hosts_of(found.cert_pem))
        if missing:
            raise ValueError(
                f"the certificate in {folder} is not for {', '.join(sorted(missing))}; "
                "move the folder away to have a new one made"
            )
        return found
    hosts = tuple(dict.fromkeys((*LOCAL_HOSTS, socket.gethostname(), *extra_hosts)))
    made = new_server_tls(name, hosts, now)
    folder.mkdir(mode=0o700, exist_ok=True)
    for file, value in zip(files, (made.ca_pem, made.cert_pem, made.key_pem), strict=True):
        write_private(file, value)
    return made
