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
FULL_LOOK_EVERY = 40_000
# Of the youngest, until the middle one is looked through. Every object is looked at once there,
# however often; by the usual ten at a time a look takes 15 ms.
MIDDLE_LOOK_EVERY = 2


def seldom() -> None:
    """From here on the collector looks at what is young, a little at a time; through everything it
    goes seldom.
    """
    young = gc.get_threshold()[0]
    gc.set_threshold(young, MIDDLE_LOOK_EVERY, FULL_LOOK_EVERY)


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
