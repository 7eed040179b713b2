"""After the warm-up nothing of a real proxy is built for the first time."""

from __future__ import annotations

import subprocess
import sys

PROBE = """
from reconciler.warm_up import warm_up
from tests.unit.reconciler.test_warm_up import build_the_examples
from xds import message

warm_up()
met = lambda: message._plan.cache_info().misses + message._template.cache_info().misses
before = met()
build_the_examples()
print(before, met())
"""


def build_the_examples() -> None:
    """The example repository's policies for a frontend, a backend and an ingress."""
    from reconciler.load import Blob, LoadMemo, load
    from reconciler.offline import proxies_of, rendered
    from reconciler.packaged import examples_folder

    inbound = {"port": 1, "tags": {"kuma.io/service": "backend", "kuma.io/protocol": "http"}}
    outbound = {"port": 2, "tags": {"kuma.io/service": "backend"}}
    backend = {"address": "127.0.0.1", "admin": {"port": 3}, "inbound": [inbound]}
    frontend = {**backend, "inbound": [], "outbound": [outbound]}
    ingress = {"address": "127.0.0.1", "port": 4, "advertisedAddress": "127.0.0.1"}
    proxies = proxies_of(
        {
            "a": {"type": "Dataplane", "mesh": "default", "name": "a", "networking": backend},
            "b": {"type": "Dataplane", "mesh": "default", "name": "b", "networking": frontend},
            "c": {
                "type": "ZoneIngress",
                "name": "c",
                "networking": {**ingress, "advertisedPort": 4},
            },
        },
        "east",
    )
    folder = examples_folder()
    blobs = {
        str(file.relative_to(folder)): Blob(str(file), file.read_bytes())
        for file in folder.rglob("*.yaml")
    }
    policies = load(blobs, LoadMemo()).resources
    assert len(policies) > 3
    for proxy in proxies:
        rendered(policies, proxies, (), proxy.key, "east")


def test_no_message_type_is_met_for_the_first_time_by_a_real_proxy() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROBE],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    assert before > 100
    assert after == before
