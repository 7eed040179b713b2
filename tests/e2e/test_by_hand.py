"""docs/how-to/run-by-hand.md does what it says: its commands, in order, in one shell."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from reconciler.demo.world import free_ports

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "run-by-hand.md"
PORT = re.compile(
    r"(?<=[ :])(?:5685|5[67]7[89]|56[89][012]|578[012]|[78]08[01]|990[123]|10[01]01)\b(?!\.)"
)
DEFAULTS = {"global": ("kds-port",), "zone": ("bootstrap-port", "ads-port")}


def script() -> str:
    return "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE))


def on_free_ports(text: str) -> tuple[str, dict[str, str]]:
    """The page on ports that nobody else has; what it leaves to defaults is set by variables."""
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


def test_the_page_on_running_by_hand_works_as_typed(tmp_path: Path) -> None:
    """With an empty home, every command must succeed, and the last ones end every process."""
    text, variables = on_free_ports(script())
    kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    shell = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=ROOT, env={**kept, **variables, "HOME": str(tmp_path)}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        out, _ = shell.communicate(timeout=200)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
    logs = "\n".join(file.read_text()[-600:] for file in tmp_path.glob("mesh/log/*.log"))
    assert shell.returncode == 0, f"{out}\n{logs}"
    assert "hello from west" in out
    assert re.search(r"arrived: all proxies of 2 zones have it", out)
    assert re.search(r"default\.frontend-1 +│ yes +│ acknowledged", out)
    assert "kuma.io/service: backend" in out
    assert "kuma:envoy:admin::" in out  # backend-1's clusters, asked through zone west
    assert not [line for line in logs.splitlines() if "Traceback" in line]
