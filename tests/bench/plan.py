"""`reconciler plan` of one change among ten thousand policies for a thousand proxies of fifty
classes in two zones, as whoever waits for it sees it: the whole process, without a cache, the very
same once more, and another change with what was read before.

The floors are those of `validate`: the same files through the YAML parser, or digested.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.model.resource import MeshResource, canonical_json
from reconciler.registration import from_document
from reconciler.status.document import ProxyClass, StatusInput, files
from reconciler.status.shape import shape_of
from tests.bench import policies
from tests.bench.figures import Figure, Scale
from tests.bench.validate import CACHED_GOAL_S, COLD_GOAL_S, DIGESTED, PARSED, timed
from tests.support.git_repos import git
from tests.support.plans import dataplane
from tests.support.status_refs import commit_status

if TYPE_CHECKING:
    from collections.abc import Mapping

ZONES = ("east", "west")
CLASSES, EACH, CALLS = 25, 20, 20  # of a zone; proxies of a class; services that one calls


async def measure(scale: Scale) -> list[Figure]:
    size = scale.size(10_000, 1_000)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        work = await asyncio.to_thread(_repository, folder, size)
        found = await asyncio.to_thread(_runs, folder, work, scale.choose(5, 1))
    goals = (COLD_GOAL_S, CACHED_GOAL_S) if size == 10_000 else (None, None)
    return [
        Figure(key="plan.cold_s", unit="s", values=found["cold"], floor=found["parsed"],
               goal=goals[0]),
        Figure(key="plan.cold_cpu_s", unit="CPU s", values=found["cold_cpu"],
               floor=found["parsed_cpu"]),
        Figure(key="plan.cached_s", unit="s", values=found["cached"], floor=found["digested"],
               goal=goals[1]),
        Figure(key="plan.other_change_s", unit="s", values=found["other"],
               floor=found["digested"]),
    ]  # fmt: skip


def _repository(folder: Path, size: int) -> Path:
    work = policies.repository(folder, size)
    for number, zone in enumerate(ZONES):
        tree = _status(zone, number * CLASSES, size)
        commit_status(work / ".git", f"refs/heads/status/{zone}", tree, None)
    return work


def _status(zone: str, first: int, size: int) -> Mapping[str, bytes]:
    """Every class is of another service; each calls its neighbours."""
    services = [policies.service(number) for number in range(0, size, len(policies.KINDS))]
    chosen = [(first + n) * len(services) // (CLASSES * len(ZONES)) for n in range(CLASSES)]
    classes = []
    for at in chosen:
        calls = [services[(at + step) % len(services)] for step in range(CALLS)]
        found = from_document(dataplane("proxy", "192.0.2.1", services[at], calls), zone)
        assert isinstance(found, MeshResource)
        classes.append(ProxyClass("default", shape_of(found), EACH))
    offered = [
        {"mesh": "default", "instances": EACH, "tags": {"kuma.io/service": services[at]}}
        for at in chosen
    ]
    own = f"192.0.2.{first + 2}"
    networking = {"address": own, "port": 10001, "advertisedAddress": own, "advertisedPort": 10001}
    ingress = {"name": zone, "networking": networking, "availableServices": offered}
    total = CLASSES * EACH
    return files(
        StatusInput(
            zone=zone,
            revision="0",
            ingresses=(canonical_json(ingress),),
            total=total,
            acked=total,
            classes=tuple(classes),
        )
    )


def _runs(folder: Path, work: Path, runs: int) -> dict[str, tuple[float, ...]]:
    """Each beside its floor, in turn: a busy machine is busy for both."""
    found: dict[str, list[float]] = {}
    git(work, "branch", "base")
    for run in range(runs):
        plan = [str(Path(sys.executable).parent / "reconciler"), "plan", "base..HEAD"]
        plan += ["--repo", str(work), "--cache-dir", str(folder / f"cache-{run}")]
        _change(work, 2 * run + 1)
        for name, command in (
            ("parsed", [sys.executable, "-c", PARSED, str(work)]),
            ("cold", plan),
            ("digested", [sys.executable, "-c", DIGESTED, str(work)]),
            ("cached", plan),
        ):
            seconds, cpu_s = timed(command)
            found.setdefault(name, []).append(seconds)
            found.setdefault(f"{name}_cpu", []).append(cpu_s)
        _change(work, 2 * run + 2)
        found.setdefault("other", []).append(timed(plan)[0])
    return {name: tuple(values) for name, values in found.items()}


def _change(work: Path, value: int) -> None:
    """A timeout of a service that has proxies, and callers."""
    text = policies.policy(0, value).replace('"5s"', f'"{value}s"')
    policies.write(work, {policies.path(0): text})
    git(work, "commit", "--quiet", "--all", "--message", f"change {value}")
