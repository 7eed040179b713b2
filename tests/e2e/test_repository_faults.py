"""The global as a process, before repositories that misbehave."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from reconciler.demo.ports import free_ports

if TYPE_CHECKING:
    from pathlib import Path

STOPPED_S = 15  # far below the 60 s that one call to a repository may take


def test_global_stops_at_once_while_its_repository_hangs(tmp_path: Path) -> None:
    """Whoever asked it to stop kills it after some seconds: then nothing ends cleanly."""
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"git://127.0.0.1:{silent.getsockname()[1]}/policy.git"
        command = [sys.executable, "-m", "reconciler.cli.main", "global"]
        options = ["--repo", url, "--state-dir", str(tmp_path / "state"), "--kds-port", str(port)]
        with subprocess.Popen([*command, *options], env=os.environ, stderr=subprocess.PIPE) as run:
            try:
                silent.settimeout(60)
                connection, _ = silent.accept()
                with connection:
                    assert connection.recv(4)  # it asked, and waits for our answer
                    run.send_signal(signal.SIGTERM)
                    _, said = run.communicate(timeout=STOPPED_S)
            finally:
                run.kill()
    assert run.returncode == 0, said.decode()
    assert b"Traceback" not in said, said.decode()
