"""The demo's scripted tour: drives the running world and checks that every step is seen to happen.

Each step returns what it saw and raises `NotSeen` otherwise. A time is from the start of `git push`
to the start of the first request that observed the effect.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from typing import TYPE_CHECKING

from reconciler.demo import zones
from reconciler.demo.calls import Answer, Load, by_version, by_zone, calls
from reconciler.demo.outage import outage
from reconciler.demo.seen import EFFECT_TIMEOUT_S, NotSeen, Seen
from reconciler.demo.visitor import STEP, visited
from reconciler.demo.world import GIT_IDENTITY, World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reconciler.demo.visitor import Visitor

CALLS = 90
SPLIT_CALLS = 300  # Envoy draws by lot: the share is within tolerance but once in 100,000 tours
WEST = {"backend v1": 1, "backend v2": 1}  # what west's ingress offers throughout
SHARE_TOLERANCE = 0.12  # of the calls, around the expected share

TIMEOUT_POLICY = """\
type: MeshTimeout
mesh: default
name: backend-is-quick
spec:
  targetRef: {kind: Mesh}
  to:
    - targetRef: {kind: MeshService, name: backend}
      default:
        http: {requestTimeout: 150ms}
"""

PERMISSION_POLICY = """\
type: MeshTrafficPermission
mesh: default
name: backend-callers
spec:
  targetRef: {kind: MeshSubset, tags: {kuma.io/service: backend}}
  from:
    - targetRef: {kind: MeshSubset, tags: {kuma.io/service: frontend}}
      default: {action: %s}
"""

SPLIT_POLICY = """\
type: MeshHTTPRoute
mesh: default
name: backend-by-version
spec:
  targetRef: {kind: MeshSubset, tags: {kuma.io/service: frontend}}
  to:
    - targetRef: {kind: MeshService, name: backend}
      rules:
        - matches: [{path: {type: PathPrefix, value: /}}]
          default:
            filters:
              - type: ResponseHeaderModifier
                responseHeaderModifier: {set: [{name: x-split, value: v2-canary}]}
            backendRefs:
              - {kind: MeshServiceSubset, name: backend, tags: {version: v1}, weight: 20}
              - {kind: MeshServiceSubset, name: backend, tags: {version: v2}, weight: 80}
"""

MISTAKE = """\
type: MeshTimeout
mesh: default
name: mistake
spec:
  targetRef: {kind: Mesh}
  to:
    - targetRef: {kind: Mesh}
      default:
        connectionTimeout: 0s
"""


class Tour:
    """With a `visitor`, one step more."""

    def __init__(
        self, world: World, report: Callable[[Seen], None], visitor: Visitor | None = None
    ) -> None:
        self.world = world
        self.report = report
        self.visitor = visitor
        self.port = world.frontend.app_port

    async def run(self) -> bool:
        """Every step in order; False as soon as one was not seen."""
        steps: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("1 both zones answer", self.both_zones),
            ("1 mutual TLS", self.mutual_tls),
            ("1 strangers are refused", self.strangers),
            ("1 the wire between the zones", self.wire),
            ("2 MeshTimeout", self.timeout),
            ("2 MeshTrafficPermission", self.permission),
            ("2 MeshHTTPRoute", self.split),
            ("3 a commit with a mistake", self.mistake),
            ("4 kill -9 east's backend", self.kill),
            ("5 status commits", self.status_commits),
            ("6 the global is killed", lambda: outage(self)),
            ("7 near first", lambda: zones.near_first(self)),
            ("8 a way out by an egress", lambda: zones.way_out(self)),
        ]
        if (visitor := self.visitor) is not None:
            steps.append((STEP, lambda: visited(self, visitor)))
        for name, step in steps:
            try:
                await step()
            except NotSeen as error:
                self.report(Seen(name, str(error), ok=False))
                return False
        return True

    # --- 1 ---

    async def both_zones(self) -> None:
        """East has one instance and west two behind its ingress: a third and two thirds."""
        await self._until_answered_by({"east", "west"})
        zones = by_zone(await calls(self.port, "/", CALLS))
        self._expect_share("east", zones["east"], CALLS, 1 / 3)
        self._expect_share("west", zones["west"], CALLS, 2 / 3)
        self.report(
            Seen(
                "1 both zones answer",
                f"east {zones['east']}, west {zones['west']} of {CALLS} calls (instances 1 : 2)",
            )
        )

    async def _until_answered_by(self, zones: set[str]) -> None:
        deadline = time.monotonic() + EFFECT_TIMEOUT_S
        seen: set[str] = set()
        while not zones <= seen:
            if time.monotonic() > deadline:
                raise NotSeen(f"answered by {sorted(seen)} only, not by {sorted(zones)}")
            seen |= set(by_zone(await calls(self.port, "/", 5)))

    def _expect_share(self, what: str, count: int, total: int, share: float) -> None:
        if abs(count / total - share) > SHARE_TOLERANCE:
            raise NotSeen(f"{what}: {count} of {total}, expected about {share:.0%}")

    async def mutual_tls(self) -> None:
        for zone in self.world.zones:
            answer = await self._answer_from(zone)
            headers = answer.facts.get("headers")
            xfcc = ""
            if isinstance(headers, dict):
                xfcc = str(
                    {k.lower(): v for k, v in headers.items()}.get("x-forwarded-client-cert", "")
                )
            if "spiffe://default/frontend" not in xfcc:
                raise NotSeen(f"backend in {zone} received x-forwarded-client-cert {xfcc!r}")
        self.report(
            Seen("1 mutual TLS", "backend received spiffe://default/frontend in both zones")
        )

    async def _answer_from(self, zone: str) -> Answer:
        for answer in await calls(self.port, "/", 20):
            if answer.ok and answer.zone == zone:
                return answer
        raise NotSeen(f"no answer from {zone} in 20 calls")

    async def strangers(self) -> None:
        port = self.world.workloads["backend-west-1"].inbound_port
        for name, attempt in (
            ("plaintext", plaintext),
            ("TLS without a mesh certificate", foreign_tls),
        ):
            got = await asyncio.to_thread(attempt, port)
            if got.startswith(b"HTTP/"):
                raise NotSeen(f"{name} was answered on the inbound port: {got[:60]!r}")
        self.report(
            Seen(
                "1 strangers are refused", "plaintext and TLS without a mesh certificate: no answer"
            )
        )

    async def wire(self) -> None:
        seen = bytes(self.world.taps["west"].seen)
        sni = b"backend{mesh=default}"
        if sni not in seen:
            raise NotSeen(f"no SNI {sni.decode()} in {len(seen)} bytes between the zones")
        for readable in (b"x-demo-canary", b"readable-in-plaintext", b"HTTP/1.1"):
            if readable in seen:
                raise NotSeen(f"{readable!r} is readable between the zones")
        self.report(
            Seen(
                "1 the wire between the zones",
                f"{len(seen)} bytes: the SNI {sni.decode()}, no readable header",
            )
        )

    # --- 2 ---

    async def timeout(self) -> None:
        before = await calls(self.port, "/slow?ms=400", 1)
        if not before[0].ok:
            raise NotSeen(f"a slow answer was {before[0].status} before any timeout")
        took = await self.effect(
            "policies/timeout.yaml", TIMEOUT_POLICY, "/slow?ms=400", lambda a: a.status == 504
        )
        self.report(Seen("2 MeshTimeout", "a 400 ms answer now ends with 504 after 150 ms", took))
        took = await self.effect(
            "policies/timeout.yaml", None, "/slow?ms=400", lambda a: a.status == 200
        )
        self.report(Seen("2 MeshTimeout", "deleted: the slow answer arrives again", took))

    async def permission(self) -> None:
        path = "policies/permission.yaml"
        took = await self.effect(path, PERMISSION_POLICY % "Deny", "/", lambda a: a.status == 403)
        await self._all_answer(403)
        self.report(Seen("2 MeshTrafficPermission", "deny: 403 from both zones", took))
        took = await self.effect(path, PERMISSION_POLICY % "Allow", "/", lambda a: a.ok)
        await self._all_answer(200)
        self.report(Seen("2 MeshTrafficPermission", "allow: 200 from both zones", took))

    async def _all_answer(self, status: int) -> None:
        """Every proxy has it: no call is answered otherwise any more."""
        deadline = time.monotonic() + EFFECT_TIMEOUT_S
        while {a.status for a in await calls(self.port, "/", 12)} != {status}:
            if time.monotonic() > deadline:
                raise NotSeen(f"not every call is answered {status}")

    async def split(self) -> None:
        took = await self.effect(
            "policies/split.yaml",
            SPLIT_POLICY,
            "/",
            lambda a: a.headers.get("x-split") == "v2-canary",
        )
        answers = await calls(self.port, "/", SPLIT_CALLS)
        versions = by_version(answers)
        failed = [a.status for a in answers if not a.ok]
        if failed:
            raise NotSeen(f"{len(failed)} of {SPLIT_CALLS} calls failed: {sorted(set(failed))}")
        self._expect_share("v2", versions["v2"], SPLIT_CALLS, 0.8)
        seen = f"v1 {versions['v1']}, v2 {versions['v2']} of {SPLIT_CALLS} calls (weights 20 : 80)"
        self.report(Seen("2 MeshHTTPRoute", seen, took))
        took = await self.effect(
            "policies/split.yaml", None, "/", lambda a: "x-split" not in a.headers
        )
        self.report(Seen("2 MeshHTTPRoute", "deleted: calls are spread by instances again", took))

    async def effect(
        self, path: str, text: str | None, call_path: str, seen: Callable[[Answer], bool]
    ) -> str:
        """Push one change and wait for the first call that observes it; the time in words."""
        async with Load(self.port, call_path, per_second=40) as load:
            await asyncio.sleep(0.1)
            started = await asyncio.to_thread(self.push, path, text)
            deadline = time.monotonic() + EFFECT_TIMEOUT_S
            while True:
                found = next((a for a in load.since(started) if seen(a)), None)
                if found is not None:
                    return f"{(found.started - started) * 1000:.0f} ms"
                if time.monotonic() > deadline:
                    last = [a.status for a in load.since(started)[-5:]]
                    raise NotSeen(
                        f"no effect of {path} within {EFFECT_TIMEOUT_S:.0f} s; last: {last}"
                    )
                await asyncio.sleep(0.005)

    def push(self, path: str, text: str | None) -> float:
        """Commit one file (None: delete it) and push; returns when `git push` started."""
        world = self.world
        file = world.work / path
        if text is None:
            world.git(world.work, "rm", "--quiet", path)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            world.git(world.work, "add", path)
        message = f"{'Delete' if text is None else 'Change'} {path}"
        world.git(world.work, *GIT_IDENTITY, "commit", "--quiet", "--message", message)
        started = time.time()
        world.git(world.work, "push", "--quiet", "origin", "main")
        return started

    # --- 3 ---

    async def mistake(self) -> None:
        before = self.world.status("global").get("revision")
        path = "policies/mistake.yaml"
        await asyncio.to_thread(self.push, path, MISTAKE)
        problem = await self._problem(path)
        after = self.world.status("global").get("revision")
        answers = await calls(self.port, "/", 10)
        if before != after or not all(a.ok for a in answers):
            raise NotSeen("the commit with a mistake changed what is in force")
        self.report(Seen("3 a commit with a mistake", f"nothing changed; {problem}"))
        await asyncio.to_thread(self.push, path, None)
        await self.world.until(
            "the corrected commit", lambda: not self.world.status("global").get("problems")
        )

    async def _problem(self, path: str) -> str:
        deadline = time.monotonic() + EFFECT_TIMEOUT_S
        while time.monotonic() < deadline:
            problems = self.world.status("global").get("problems")
            if isinstance(problems, list) and problems:
                text = str(problems[0])
                if not text.startswith(f"{path}:9:28:"):
                    raise NotSeen(f"the problem is reported elsewhere: {text}")
                return text
            await asyncio.sleep(0.05)
        raise NotSeen("the problem of the commit was not reported")

    # --- 4 ---

    async def kill(self) -> None:
        world = self.world
        workload = world.workloads["backend-east-1"]
        await self.counts_become({"frontend v1": 1, "backend v1": 1})
        async with Load(self.port, "/", per_second=60) as load:
            await asyncio.sleep(1.0)
            killed = time.time()
            world.processes[f"app-{workload.name}"].kill_now()
            world.processes[f"proxy-{workload.name}"].kill_now()
            await asyncio.sleep(3.0)
            after = load.since(killed)
            failed = [a for a in after if not a.ok]
            settled = [a for a in after if a.started > killed + 2.0]
            if not settled or any(not a.ok or a.zone != "west" for a in settled):
                raise NotSeen(f"two seconds later: {by_zone(settled)} and {len(failed)} failed")
            gap_ms = (max(a.ended for a in failed) - killed) * 1000 if failed else 0.0
            self.report(
                Seen(
                    "4 kill -9 east's backend",
                    f"west answers all; {len(failed)} of {len(after)} calls failed",
                    f"{gap_ms:.0f} ms gap",
                )
            )
            await self.counts_become({"frontend v1": 1})
            back = time.time()
            world.run_app(workload)
            world.run_sidecar(workload)
            await self._east_answers(load, back)
        await self.counts_become({"frontend v1": 1, "backend v1": 1})

    async def _east_answers(self, load: Load, since: float) -> None:
        deadline = time.monotonic() + EFFECT_TIMEOUT_S
        while True:
            found = next((a for a in load.since(since) if a.ok and a.zone == "east"), None)
            if found is not None:
                took = f"{(found.started - since) * 1000:.0f} ms"
                self.report(
                    Seen("4 kill -9 east's backend", "started again: east answers again", took)
                )
                return
            if time.monotonic() > deadline:
                raise NotSeen("east does not answer after its backend came back")
            await asyncio.sleep(0.05)

    async def counts_become(self, east: dict[str, int]) -> None:
        """The status refs show these instances in east, and all of west's as ever."""
        wanted = {"east": east, "west": WEST}
        deadline = time.monotonic() + EFFECT_TIMEOUT_S
        while (counts := self._instances()) != wanted:
            if time.monotonic() > deadline:
                raise NotSeen(f"the status refs show {counts}, not {wanted}")
            await asyncio.sleep(0.1)
        self.report(
            Seen("5 status commits", f"ingress.yaml: {_words(counts)}"),
        )

    # --- 5 ---

    def _instances(self) -> dict[str, dict[str, int]]:
        """Per zone, instances by service and version as the zone's status ref shows them."""
        from reconciler.status.document import parse_ingress

        found: dict[str, dict[str, int]] = {}
        for zone in self.world.zones:
            text = self.world.git(
                None, "-C", str(self.world.bare), "show", f"status/{zone}:ingress.yaml"
            )
            counts: dict[str, int] = {}
            for ingress in parse_ingress(text.encode()):
                services = ingress.get("availableServices")
                for service in services if isinstance(services, list) else []:
                    tags = service["tags"]
                    name = f"{tags['kuma.io/service']} {tags['version']}"
                    counts[name] = counts.get(name, 0) + int(service["instances"])
            found[zone] = counts
        return found

    async def status_commits(self) -> None:
        log = self.world.git(
            None, "-C", str(self.world.bare), "log", "--format=%h %s", "status/west"
        ).splitlines()
        if not log:
            raise NotSeen("git log status/west is empty")
        self.report(Seen("5 status commits", f"git log status/west: {len(log)} commits; {log[0]}"))


def _words(counts: dict[str, dict[str, int]]) -> str:
    return "; ".join(
        f"{zone}: " + ", ".join(f"{name} x {count}" for name, count in sorted(found.items()))
        for zone, found in sorted(counts.items())
    )


def plaintext(port: int) -> bytes:
    """What a client without TLS gets."""
    return _ask(socket.create_connection(("127.0.0.1", port), timeout=5))


def foreign_tls(port: int) -> bytes:
    """What a TLS client without a mesh certificate gets."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # It is the server that must refuse.
    raw = socket.create_connection(("127.0.0.1", port), timeout=5)
    try:
        return _ask(context.wrap_socket(raw, server_hostname="backend"))
    except OSError:
        return b""


def _ask(connection: socket.socket) -> bytes:
    with connection:
        try:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: backend\r\nconnection: close\r\n\r\n")
            return connection.recv(4096)
        except OSError:
            return b""
