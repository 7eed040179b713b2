"""Recognisable values are planted in every secret, faults are provoked, and everything that leaves
a process is searched for them.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import sqlite3
import ssl
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from reconciler.demo.world import clean_environment
from reconciler.keys.secret_store import write_private
from tests.support.authorities import key_pem, made_ca
from tests.support.planes import Planes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
PREFIX = "CANARY_VALUE_"
OF_ENV, OF_FILE = "canary-env-5f1c", "canary-file-91d7"
BROKEN, INLINE, IN_GIT = "canary-broken-22aa", "canaryInline73be", "Y2FuYXJ5LWluLWdpdA"
PASSWORD, GIT_TOKEN, PRESENTED = "canary-password-8e", "canary-git-token-4c", "canary-presented-0b"
LISTED = f"""secrets:
  - {{mesh: default, name: corporate-cert, file: ca.pem}}
  - {{mesh: default, name: corporate-key, file: ca.key}}
  - {{name: zone-token-revocations, file: revoked}}
  - {{name: canary, env: {PREFIX}ONE}}
"""
# A fault of ours with everything secret in its text, in the loads of one file's commits.
FAULT = """
import sys
from reconciler.cli.main import main
from reconciler.revision_loader import RevisionLoader
loaded = RevisionLoader._loaded
def faulty(self, wanted, key, found):
    if "fault.yaml" in {at.path for at in found.provenance.values()}:
        system = self.system.resources(())
        secrets = self._state.of("GlobalSecret"), self._state.of("Secret")
        secrets += self.values, self.values.resolve(found.secrets)
        raise TypeError(f"{secrets} {system} {self.system.store.get('zone-token-signing-key-1')}")
    return loaded(self, wanted, key, found)
RevisionLoader._loaded = faulty
sys.exit(main())
"""
# What a zone signs with, and checks tokens by. Nothing else that is private is for its disk.
KEYS_OF_A_ZONE = {
    "Secret default/corporate-key",
    "Secret default/dataplane-token-signing-key-default-1",
    "Secret default/default.ca-builtin-key-ca-1",
}
PROVIDED: dict[str, object] = {
    "name": "corporate",
    "type": "provided",
    "conf": {"cert": {"secret": "corporate-cert"}, "key": {"secret": "corporate-key"}},
}


def mesh(*backends: dict[str, object]) -> str:
    listed = [{"name": "ca-1", "type": "builtin"}, *backends]
    mtls = {"enabledBackend": "ca-1", "backends": listed}
    return json.dumps({"type": "Mesh", "name": "default", "mtls": mtls})


class Planted(Planes):
    """A global and a zone with an ingress and a sidecar; `said` is what commands and servers
    answered.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.said: dict[str, bytes] = {}
        self.values = folder / "values"
        self.values.mkdir(mode=0o700)

    def run_global(self, *_: str) -> None:
        super().run_global("--secrets-dir", str(self.values), "--secrets-env-prefix", PREFIX)

    def _reconciler(self, name: str, role: str, *arguments: str) -> None:
        """Envoys tell all that they do, and the global has a fault."""
        if name == "global":
            self.run_program(name, role, [sys.executable, "-c", FAULT, *arguments])
            return
        more = ("--log-level", "debug") if name.startswith("proxy-") else ()
        super()._reconciler(name, role, *arguments, *more)

    def push(self, files: dict[str, str]) -> str:
        for name, text in files.items():
            (self.work / name).write_text(text)
        self.git(self.work, "add", "--all")
        self.git(self.work, "commit", "--quiet", "--message", "change")
        self.git(self.work, "push", "--quiet")
        return self.git(self.work, "rev-parse", "HEAD").strip()

    def say(self, *arguments: str, **environment: str) -> None:
        """Keep what a command prints, whatever its exit code."""
        done = subprocess.run(
            [sys.executable, "-m", "reconciler.cli.main", *arguments],
            capture_output=True, check=False, timeout=60,
            env=clean_environment("RECONCILER_") | environment,
        )  # fmt: skip
        assert done.returncode != -9
        self.said[f"reconciler {' '.join(arguments)}"] = done.stdout + done.stderr

    async def rejected(self) -> None:
        await self.until("a rejection", lambda: bool(self.status("global").get("problems")))

    # --- what is searched for ---

    def needles(self) -> Iterator[tuple[str, bytes]]:
        for text in (OF_ENV, OF_FILE, BROKEN, INLINE, IN_GIT, PASSWORD, GIT_TOKEN, PRESENTED):
            yield text, text.encode()
            yield f"{text} in base64", base64.b64encode(text.encode())[:-4]
        keys = [self.values / "ca.key"]
        keys += [p for p in (self.state("global") / "secrets").iterdir() if _is_key(p)]
        keys += [self.state(role) / "tls" / "key.pem" for role in ("global", "east")]
        for file in keys:
            yield from _of_key(str(file), file.read_bytes())
        for token in (self.folder / "proxies").glob("*/token"):
            yield str(token), token.read_bytes().strip()[-60:]
        yield "join file", json.loads(self.join_file("east").read_text())["token"][-60:].encode()


def _is_key(path: Path) -> bool:
    return b"PRIVATE KEY" in path.read_bytes()


def _of_key(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """A line of its body, and of the same as KDS and its JSON have it."""
    body = data[data.index(b"PRIVATE KEY") :].splitlines()
    yield name, body[2][:40]
    yield f"{name} in base64", base64.b64encode(data)[-120:-60]


@pytest.fixture
async def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Planted]:
    monkeypatch.setenv(f"{PREFIX}ONE", OF_ENV)
    made = Planted(tmp_path / "world")
    try:
        await made.start_global()
        await made.start_zone("east")
        made.run_ingress("east")
        made.run_sidecar(made.frontend)
        await made.until("both proxies", lambda: made.acked("east") == 2)
        yield made
    finally:
        await asyncio.to_thread(made.stop)


async def test_no_secret_leaves_by_another_way(planted: Planted) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    write_private(planted.values / "ca.pem", made_ca(key, time.time()))
    write_private(planted.values / "ca.key", key_pem(key))
    write_private(planted.values / "revoked", OF_FILE.encode())
    commit = planted.push({"secrets.yaml": LISTED, "meshes/default.yaml": mesh(PROVIDED)})
    planted.say("wait", "--commit", commit, "--state-dir", str(planted.state("global")))
    assert planted.status("global")["revision"] == commit
    wanted = list(planted.needles())
    kept = b"".join(p.read_bytes() for p in (planted.state("global") / "secrets").iterdir())
    for needle in (OF_ENV, OF_FILE):  # They are where they belong: the search would see them.
        assert needle.encode() in kept

    await _provoke(planted)
    await asyncio.to_thread(_ask_everything, planted)

    found = [
        f"{what} in {where}"
        for where, data in _everything(planted)
        for what, needle in wanted
        if needle in data
    ]
    assert found == []
    log = (planted.folder / "logs" / "global.log").read_bytes()
    assert b"TypeError" in log, "the fault was not provoked"
    assert b"MeshResource" in log, "its text says nothing"
    await asyncio.to_thread(planted.stop)
    assert _private_keys_in_store(planted.state("east")) == KEYS_OF_A_ZONE


def _private_keys_in_store(state: Path) -> set[str]:
    """Rows of a control plane's store that hold a private key, as PEM or as KDS carries it."""
    marks = [b"PRIVATE KEY", *(base64.b64encode(b"x" * n + b"PRIVATE KEY")[4:-4] for n in range(3))]
    with closing(sqlite3.connect(state / "store.sqlite")) as db:
        rows = db.execute("SELECT key, value FROM rows").fetchall()
    assert rows
    return {key for key, value in rows if any(mark in value for mark in marks)}


async def _provoke(planted: Planted) -> None:
    """A value that is no key, a key in Git, tokens that are none."""
    kept = (planted.values / "ca.key").read_bytes()
    write_private(planted.values / "ca.key", BROKEN.encode())
    await planted.until("a warning", lambda: "MSH012" in str(planted.status("global")["warnings"]))
    write_private(planted.values / "ca.key", kept)
    pem = f"-----BEGIN PRIVATE KEY-----\n{INLINE}\n-----END PRIVATE KEY-----\n"
    conf = {"cert": {"inlineString": "x"}, "key": {"inlineString": pem}}
    secret = {"type": "Secret", "mesh": "default", "name": "plain", "data": IN_GIT}
    files = {"meshes/default.yaml": mesh({**PROVIDED, "conf": conf})}
    commit = planted.push(files | {"policies/secret.yaml": json.dumps(secret)})
    await planted.rejected()
    await asyncio.to_thread(
        planted.say, "wait", "--commit", commit, "--state-dir", str(planted.state("global"))
    )
    assert b"MSH009" in planted.said[f"reconciler wait --commit {commit} --state-dir "
                                     f"{planted.state('global')}"]  # fmt: skip
    fault = {"type": "Mesh", "name": "fault"}
    planted.push({"fault.yaml": json.dumps(fault), "policies/secret.yaml": ""})
    planted.push({"meshes/default.yaml": mesh(PROVIDED)})
    at_fault = "internal error"
    await planted.until(
        "a fault", lambda: at_fault in str(planted.status("global")["repository_error"])
    )
    await asyncio.to_thread(_bootstrap, planted)
    planted.said["kds"] = (await _kds(planted)).encode()
    assert b"token" in planted.said["kds"]


def _bootstrap(planted: Planted) -> None:
    context = ssl.create_default_context(cafile=str(planted.state("east") / "tls" / "ca.pem"))
    document = json.loads((planted.folder / "proxies" / "frontend" / "dataplane.yaml").read_text())
    document["mesh"] = "nowhere"  # What it is refused for.
    for token in (PRESENTED, f"eyJhbGciOiJSUzI1NiJ9.{PRESENTED}.{PRESENTED}"):
        body = {
            "mesh": "nowhere",
            "name": "frontend",
            "proxyType": "dataplane",
            "dataplaneToken": token,
            "dataplaneResource": json.dumps(document),
        }
        port = planted.ports["east"].bootstrap
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=20)
        connection.request(
            "POST", "/bootstrap", json.dumps(body), {"content-type": "application/json"}
        )
        answer = connection.getresponse()
        planted.said[f"bootstrap {len(planted.said)}"] = answer.read()
        assert answer.status >= 400
        connection.close()


async def _kds(planted: Planted) -> str:
    """What a stranger is told who presents something as a zone's token."""
    ca_pem = (planted.state("global") / "tls" / "ca.pem").read_bytes()
    credentials = grpc.ssl_channel_credentials(ca_pem)
    async with grpc.aio.secure_channel(f"127.0.0.1:{planted.kds_port}", credentials) as channel:
        call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(
            "/kuma.mesh.v1alpha1.KDSSyncService/GlobalToZoneSync"
        )(metadata=(("client-id", "east"), ("authorization", PRESENTED)))
        try:
            while isinstance(await call.read(), bytes):
                continue
        except grpc.aio.AioRpcError:
            pass
        return f"{await call.code()} {await call.details()}"


def _ask_everything(planted: Planted) -> None:
    at_global, at_east = str(planted.state("global")), str(planted.state("east"))
    for form in ("text", "json"):
        for state in (at_global, at_east):
            planted.say("status", "--proxies", "--format", form, "--state-dir", state)
    for form in ("text", "json", "github"):
        planted.say("validate", str(planted.work), "--format", form)
    file = str(planted.folder / "proxies" / "frontend" / "dataplane.yaml")
    planted.say("render", str(planted.work), "--dataplane", "frontend", "--file", file)
    planted.say("inspect", "frontend", "--zone", "east", "--state-dir", at_global)
    for role, port in planted.diagnostics.items():
        if role in ("global", "east"):
            planted.said[f"metrics of {role}"] = _metrics(planted, role, port)
    _other_globals(planted)


def _metrics(planted: Planted, role: str, port: int) -> bytes:
    context = ssl.create_default_context(cafile=str(planted.state(role) / "tls" / "ca.pem"))
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=20)
    with closing(connection):
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read()


def _other_globals(planted: Planted) -> None:
    """One with a password in its address, one with a token, before repositories that are away."""
    away = {"a": f"https://git:{PASSWORD}@127.0.0.1:9/p.git", "b": "https://127.0.0.1:9/p.git"}
    for name, repo in away.items():
        log, folder = planted.folder / "logs" / f"other-{name}.log", str(planted.folder / name)
        command = [sys.executable, "-m", "reconciler.cli.main", "global", "--repo", repo]
        ports = [
            "--kds-port",
            "0",
            "--diagnostics-port",
            "0",
            "--proxy-port",
            "0",
            "--state-dir",
            folder,
        ]
        environment = clean_environment("RECONCILER_") | {"RECONCILER_GIT_TOKEN": GIT_TOKEN}
        with log.open("wb") as out:
            started = subprocess.Popen([*command, *ports], env=environment, stdout=out, stderr=out)
        try:
            deadline = time.monotonic() + 30
            while b"127.0.0.1" not in log.read_bytes() and started.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            planted.say("status", "--format", "json", "--state-dir", folder)
        finally:
            started.kill()
            started.wait()
        assert log.read_bytes()


def _everything(planted: Planted) -> Iterator[tuple[str, bytes]]:
    yield from planted.said.items()
    for log in (planted.folder / "logs").iterdir():
        yield str(log), log.read_bytes()
    for file in planted.state("global").glob("store.sqlite*"):
        yield str(file), file.read_bytes()
    yield "status refs", _status_objects(planted)


def _status_objects(planted: Planted) -> bytes:
    """Every object that the status refs reach, contents and messages."""
    git = ["git", "-C", str(planted.bare)]
    refs = subprocess.run(
        [*git, "rev-list", "--objects", "--glob=refs/heads/status/*"],
        capture_output=True, check=True, env=os.environ,
    ).stdout  # fmt: skip
    names = b"\n".join(line.split()[0] for line in refs.splitlines())
    assert names
    return subprocess.run(
        [*git, "cat-file", "--batch"], input=names, capture_output=True, check=True, env=os.environ
    ).stdout
