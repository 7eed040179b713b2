"""When Python's garbage collector looks through everything: it holds every thread as long as that
takes, the loop among them.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


# Of the middle generation, until everything is looked through. What a control plane does makes next
# to no cycles (a thousand proxies that come back leave some 150 objects), and each look at 1,000
# proxies holds the loop for 200 ms.
FULL_LOOK_EVERY = 10_000


def seldom() -> None:
    """From here on the collector looks at what is young; through everything it goes seldom."""
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, FULL_LOOK_EVERY)


@contextmanager
def undisturbed() -> Iterator[None]:
    """For work whose results stay, and whose garbage goes by itself: nothing is looked through
    meanwhile, and its results never again. Of 10,000 policies a look takes 200 ms, and reading them
    asks for three; the modules of a zone cost 130 ms of looks while they are imported, and 35 ms of
    each later pause.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
