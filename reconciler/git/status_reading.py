"""What zones left on their status refs, read once at the global's start. Blocking.

Whoever may push could have written them: what no zone of ours writes is left out and told, and the
zone is unknown until it speaks for itself. Nothing but `ingress.yaml` is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.git.errors import GitFailed, Permanent
from reconciler.git.local_refs import check_free_among
from reconciler.git.status_ref import PREFIX_SETTING, zone_of_ref
from reconciler.status.document import APPLIED_PATH, INGRESS_PATH, StatusUnreadable
from reconciler.status_ingress import from_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.git.mirror import Mirror
    from reconciler.model.resource import MeshResource

OURS = frozenset((INGRESS_PATH, APPLIED_PATH, "proxies"))
NAMES_SHOWN = 5


@dataclass(slots=True)
class StatusRead:
    """`ingresses` by zone; `faults` are refs, or the prefix, that a person should look at."""

    ingresses: dict[str, tuple[MeshResource, ...]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)


def read_status(mirror: Mirror, tips: Mapping[str, str], prefix: str) -> StatusRead:
    read = StatusRead()
    for ref, commit in sorted(tips.items()):
        zone = zone_of_ref(ref, prefix)
        if zone is None:
            continue
        try:
            body = mirror.read_file(commit, INGRESS_PATH)
            if body is None:
                raise StatusUnreadable(f"it has no {INGRESS_PATH}: no zone wrote it")
            read.ingresses[zone] = tuple(from_status(zone, body))
            foreign = sorted(set(mirror.root_names(commit)) - OURS)
        except (StatusUnreadable, GitFailed) as error:
            read.faults[ref] = str(error)
            continue
        if foreign:
            shown = ", ".join(foreign[:NAMES_SHOWN]) + (", …" * (len(foreign) > NAMES_SHOWN))
            read.faults[ref] = (
                f"{shown}: no status, and read by nobody; policies belong on the policy branch"
            )
    return read


def prefix_fault(mirror: Mirror, prefix: str) -> str:
    """Why no status ref can exist below the prefix, "" when they can, or nobody can tell now."""
    try:
        refs = mirror.transport.list_refs(mirror.folder)
        check_free_among(
            (ref for ref in refs if not ref.startswith(prefix)), f"{prefix}zone", PREFIX_SETTING
        )
    except Permanent as error:
        return str(error)
    except (GitFailed, OSError):
        pass
    return ""
