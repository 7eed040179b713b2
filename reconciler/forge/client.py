"""HTTP and JSON with a forge's API: limits on time, size and tries; the token goes to one host."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from reconciler.forge.posting import ForgeError, NotAllowed
from reconciler.runtime.retry import backoff_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

TIMEOUT_S = 15.0
ANSWER_MAX = 16 * 1024 * 1024
TRIES = 4
WAIT_FIRST_S, WAIT_MAX_S = 1.0, 30.0
PAGE_SIZE = 100
PAGES_MAX = 50
USER_AGENT = "mesh-reconciler"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_BUSY = (429, 500, 502, 503, 504)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Elsewhere, the token would be somebody else's."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Client:
    """`base` without a slash at its end; `headers` hold the token."""

    base: str
    headers: Mapping[str, str] = field(repr=False)
    hint: str  # what the token needs
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        parts = urlsplit(self.base)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise ForgeError(f"{self.base}: a token goes over https only; correct the address")

    def call(self, method: str, path: str, payload: Mapping[str, object] | None = None) -> Any:
        """The answer's JSON. Raises ForgeError; what is busy is asked again."""
        data = None if payload is None else json.dumps(payload).encode()
        headers = {"User-Agent": USER_AGENT, "Content-Type": "application/json", **self.headers}
        for attempt in range(1, TRIES + 1):
            request = urllib.request.Request(  # noqa: S310 - https, or loopback
                self.base + path, data, dict(headers), method=method
            )
            status, body, wait_s = self._answer(request)
            if status < 300:
                try:
                    return json.loads(body) if body else None
                except ValueError as error:
                    raise ForgeError(f"{method} {path}: the answer is not JSON") from error
            if status not in _BUSY or attempt == TRIES:
                raise self._refused(method, path, status, body)
            self.sleep(min(max(wait_s, backoff_s(attempt, first_s=1.0, max_s=8.0)), WAIT_MAX_S))
        raise AssertionError("the last try returns or raises")

    def _answer(self, request: urllib.request.Request) -> tuple[int, bytes, float]:
        """Status, body, and how long the forge asks to wait. Trouble on the way is a 503."""
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            with opener.open(request, timeout=TIMEOUT_S) as answer:
                body = answer.read(ANSWER_MAX + 1)
                if len(body) > ANSWER_MAX:
                    raise ForgeError(f"the answer has over {ANSWER_MAX} bytes")
                return answer.status, body, 0.0
        except urllib.error.HTTPError as error:
            with error:
                asked = error.headers.get("Retry-After", "")
                return error.code, error.read(4096), float(asked) if asked.isdecimal() else 0.0
        except (OSError, HTTPException) as error:
            return 503, str(error).encode(), 0.0

    def _refused(self, method: str, path: str, status: int, body: bytes) -> ForgeError:
        said = body[:200].decode("utf-8", "replace")
        said = "".join(c if c.isprintable() else " " for c in said)
        text = f"{urlsplit(self.base).hostname} answered {method} {path} with {status}: {said}"
        if status in (401, 403, 404):
            return NotAllowed(f"{text}; check the token: {self.hint}")
        return ForgeError(text)

    def pages(self, path: str, **query: object) -> Iterator[Any]:
        """Every entry of a list, page after page."""
        for page in range(1, PAGES_MAX + 1):
            asked = urlencode({**query, "per_page": PAGE_SIZE, "page": page})
            found = self.call("GET", f"{path}?{asked}")
            if not isinstance(found, list):
                raise ForgeError(f"GET {path}: the answer is no list")
            yield from found
            if len(found) < PAGE_SIZE:
                return
