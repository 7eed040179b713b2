"""The zone's answers about its proxies: it asks their Envoys, and always answers. Shell."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from reconciler.admin_client import AdminFailed
from reconciler.kds import sizes
from reconciler.kds.admin import AdminKind, Answer
from reconciler.steps.zone_admin import target

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.admin_client import AdminClient
    from reconciler.kds.admin import Question
    from reconciler.steps.zone_state import ZoneState

ENVELOPE_MAX = 64 * 1024  # bytes of a KDS message beside the body
OURS_MAX = sizes.OURS_MAX - ENVELOPE_MAX  # whatever the setting says
KUMA_MAX = sizes.KUMA_MAX - ENVELOPE_MAX


class ZoneAdmin:
    def __init__(self, state: Callable[[], ZoneState], client: AdminClient) -> None:
        self._state = state
        self.client = client

    async def for_global(self, question: Question) -> Answer:
        """As an answer on its stream, within what the global at the other end takes."""
        piecewise = self._state().link.piecewise  # Kuma's: it has no manifest to send.
        return await self.respond(question, KUMA_MAX if piecewise else OURS_MAX)

    async def respond(self, question: Question, limit: int = OURS_MAX) -> Answer:
        try:
            found = target(self._state(), question)
            if isinstance(found, str):
                return Answer(question.request_id, error=found)
            body = await self.client.get(
                found,
                path_of(question),
                is_config=question.kind is AdminKind.CONFIG,
                limit=limit,
            )
        except AdminFailed as error:
            return Answer(question.request_id, error=str(error))
        except Exception as error:  # ours, and whoever asked must not wait for ever
            asyncio.get_running_loop().call_exception_handler(
                {"message": "asking a proxy ended by a fault of ours", "exception": error}
            )
            text = "an internal error of this zone control plane; its log says more"
            return Answer(question.request_id, error=text)
        return Answer(question.request_id, body)


def path_of(question: Question) -> str:
    """Of Envoy's admin interface."""
    match question.kind:
        case AdminKind.CONFIG:
            path, query = "/config_dump", {"include_eds": "true"} if question.include_eds else {}
        case AdminKind.STATS:
            path, query = "/stats", {"usedonly": ""} if question.used_only else {}
        case AdminKind.CLUSTERS:
            path, query = "/clusters", {}
    if question.as_json and question.kind is not AdminKind.CONFIG:
        query = {"format": "json", **query}
    return f"{path}?{urlencode(query)}" if query else path
