"""Which ingresses of other zones answer, as a zone's control plane finds out by asking them. Pure.

An ingress is silent once it has answered before and then did not, `FAILED` times in a row; one
answer ends it. One that has never answered is not silent: proxies may be allowed where their
control plane is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

Target = tuple[str, int]  # the address and port that an ingress advertises; never a name

FAILED = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """`since`: when a silent one did not answer first, in seconds since the epoch."""

    answered: bool = False  # ever
    failed: int = 0  # times in a row
    failing: float = 0.0  # since when

    @property
    def since(self) -> float | None:
        return self.failing if self.answered and self.failed >= FAILED else None


NEVER = Asked()


def after(known: Asked, answered: bool, now: float) -> Asked:
    if answered:
        return Asked(answered=True)
    failing = known.failing if known.failed else now
    return replace(known, failed=known.failed + 1, failing=failing)
