"""The floor under `fleet_1000`: the same proxies at a server that sends what was recorded."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Self

from reconciler.ca.server_tls import new_server_tls
from tests.bench.fleet import Clients, Program, commit, push, repository
from tests.support.planes import Planes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType


class FloorFleet:
    """`recorded`: "first" is what each proxy was sent when it connected, the others are pushes;
    each node -> responses, base64. `program` is what the server runs, for `clients`.
    """

    def __init__(
        self,
        folder: Path,
        recorded: Mapping[str, Mapping[str, Any]],
        proxies: Sequence[dict[str, str]],
        program: str = "tests.bench.fleet_floor",
        clients: Clients | None = None,
    ) -> None:
        self.program, self.clients = program, clients or Clients()
        self.world = Planes(folder)  # for its Git commands only; nothing of it is started
        self.recorded, self.proxies = recorded, proxies
        self.server: Program | None = None
        self.tls = new_server_tls("floor", ("127.0.0.1", "localhost"), time.time())
        self.port = 0
        self.pushes = 0

    @property
    def pid(self) -> int:
        assert self.server is not None
        return self.server.process.pid

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(repository, self.world)
        await asyncio.to_thread(self._push)
        self.port = await self._start()
        for name in self.recorded:
            if name != "first":
                await self._ask({"do": "push", "name": name, **self.told(name)})
        given = {"host": "127.0.0.1", "port": self.port, "ca": self.tls.ca_pem.decode()}
        await self.clients.start(given, self.proxies)
        return self

    def told(self, name: str) -> dict[str, Any]:
        """Of a push, to the server."""
        return {"heard": self.recorded[name]}

    def told_first(self) -> dict[str, Any]:
        return {"first": self.recorded["first"]}

    async def _start(self, port: int = 0) -> int:
        self.server = await Program.start(self.program)
        answer = await self._ask(
            {
                "port": port,
                "bare": str(self.world.bare),
                "cert": self.tls.cert_pem.decode(),
                "key": self.tls.key_pem.decode(),
                **self.told_first(),
            }
        )
        return int(answer["port"])

    async def restart(self) -> float:
        """Killed, and started again on the same port; when, on the monotonic clock."""
        await self._end()
        began = time.monotonic()
        await self._start(self.port)
        return began

    async def _end(self) -> None:
        if self.server is not None:
            await self.server.stop()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.clients.stop()
        await self._end()

    async def _ask(self, said: dict[str, Any]) -> dict[str, Any]:
        assert self.server is not None
        return await self.server.ask(said)

    def those(self, name: str) -> list[str]:
        """Whom a recorded push concerns."""
        return list(self.recorded[name])

    def _push(self) -> None:
        """A commit that moves the branch, whatever is in it."""
        self.pushes += 1
        (self.world.work / "floor.yaml").write_text(f"# {self.pushes}\n")
        commit(self.world, f"floor {self.pushes}")
        push(self.world)

    async def pushed(self, name: str, what: str, value: int, **more: Any) -> float:
        """Milliseconds from the start of `git push` until the last proxy runs the value."""
        await self._ask({"do": "arm", "name": name})
        await self.clients.expect(self.those(name), what, value, **more)
        began = time.monotonic()
        await asyncio.to_thread(self._push)
        return (await self.clients.last() - began) * 1000

    async def sent(self, name: str, what: str, value: int, **more: Any) -> float:
        """The same without Git: from the command to the server."""
        await self.clients.expect(self.those(name), what, value, **more)
        began = time.monotonic()
        await self._ask({"do": "send", "name": name})
        return (await self.clients.last() - began) * 1000
