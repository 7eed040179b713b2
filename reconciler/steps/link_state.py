"""What a zone knows of its session with the global, and of the revision that it receives."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING

from rpds import HashTrieMap

from reconciler.collection import Sorted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.kds.manifest import Manifest
    from reconciler.model.resource import MeshResource
    from xds.delta_receiver import DeltaReceiver
    from xds.delta_sender import DeltaSender
    from xds.resource import XdsResource


@dataclass(frozen=True, slots=True)
class Staged:
    """A global-owned resource as received, read once, by its name on the wire; `version` is the
    wire's, which the manifest's digests are made of.
    """

    name: str
    version: str
    resource: MeshResource


StagedType = Sorted[Staged]
NOTHING: StagedType = Sorted(attrgetter("name"))


@dataclass(frozen=True, slots=True)
class Digested:
    """What was computed of a type: its digest, and the bytes it is made of, chunk by chunk."""

    staged: StagedType
    digest: str
    frames: Mapping[int, tuple[tuple[Staged, ...], bytes]]  # by the chunk's id


@dataclass(frozen=True, slots=True)
class Parts:
    """What came so far of a response of which more is to come: staged, with `errors` and all
    `names` it told; or as it is, of a type that is taken as a whole.
    """

    staged: StagedType | None = None
    errors: Mapping[str, str] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    resources: tuple[XdsResource, ...] = ()


@dataclass(frozen=True, slots=True)
class GlobalLink:
    """The session with the global. `manifest` is the last received; `piecewise` when the peer has
    none to send.
    """

    session: str | None = None
    since: float = 0.0  # when it began, or the last one that ended; 0: there was none
    until: float | None = None  # when that one ended
    receivers: HashTrieMap[str, DeltaReceiver] = field(default_factory=HashTrieMap)
    senders: HashTrieMap[str, DeltaSender] = field(default_factory=HashTrieMap)
    nonces: int = 0
    staged: HashTrieMap[str, StagedType] = field(default_factory=HashTrieMap)
    parts: Parts = field(default_factory=Parts)
    applied: HashTrieMap[str, StagedType] = field(
        default_factory=HashTrieMap
    )  # what is in force, also in place of what was refused
    digests: HashTrieMap[str, Digested] = field(
        default_factory=HashTrieMap
    )  # of what is staged, to be compared with the manifest's
    known: bool = False  # whose global it is: before that nothing is asked or told
    manifest: Manifest | None = None
    piecewise: bool = False
    kuma: bool = False  # what the last global that said so was
    refused: HashTrieMap[str, HashTrieMap[str, str]] = field(
        default_factory=HashTrieMap
    )  # what could not be staged: type -> discovery name -> why
    incomplete_since: float | None = None  # last news of a revision that is not whole yet
    held: frozenset[str] = frozenset()  # types of ours whose response is over the peer's limit
    reack_at: float | None = None  # a peer without manifests is told its last answers again
