"""Pages of commands, run as they are typed: in order, in one shell, with an empty home, on ports
that nobody else has.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.demo.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
PORT = re.compile(
    r"(?<=[ :])(?:5685|5[67]7[89]|56[89][012]|578[012]|[78]08[01]|990[123]|10[01]01)\b(?!\.)"
)
TIME_S = 200.0


@dataclass(frozen=True)
class Done:
    """`logs`: the end of each one's."""

    status: int
    out: str
    logs: str


def script(page: Path) -> str:
    return "\n".join(re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE))


def on_free_ports(text: str) -> tuple[str, dict[str, str]]:
    """What the page leaves to defaults is set by variables."""
    named = sorted({*PORT.findall(text), "5685", "5678", "5679", "5680", "5681", "5682"})
    ports = dict(zip(named, map(str, free_ports(len(named))), strict=True))
    variables = {
        "RECONCILER_KDS_PORT": ports["5685"],
        "RECONCILER_BOOTSTRAP_PORT": ports["5678"],
        "RECONCILER_ADS_PORT": ports["5679"],
        "RECONCILER_DIAGNOSTICS_PORT": ports["5680"],
        "RECONCILER_API_PORT": ports["5682"],
        "RECONCILER_API_PLAIN_PORT": ports["5681"],
    }
    return PORT.sub(lambda found: ports[found[0]], text), variables


def typed(page: Path, home: Path, environment: Mapping[str, str] | None = None) -> Done:
    """Every command must succeed; whatever it leaves running is ended."""
    text, variables = on_free_ports(script(page))
    kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    shell = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", text], cwd=ROOT,
        env={**kept, **variables, **(environment or {}), "HOME": str(home)},
        start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        out, _ = shell.communicate(timeout=TIME_S)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
    logs = "\n".join(file.read_text()[-600:] for file in home.glob("mesh/log/*.log"))
    return Done(shell.returncode, out, logs)
