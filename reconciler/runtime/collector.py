"""When Python's garbage collector looks through everything: it holds every thread as long as that
takes, the loop among them.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


# New objects that stay, until what is young is looked at; and of these looks, until the middle one.
# A push makes ten objects for each that stays, and every object is looked at twice, however often:
# by the usual 700 and 10 a look of the middle takes 15 ms, by 700 and 2 still 10.
YOUNG_LOOK_EVERY = 250
MIDDLE_LOOK_EVERY = 1
# Of the middle ones, until everything is looked through. What a control plane does makes next to no
# cycles (a thousand proxies that come back leave some 150 objects), and each look at 1,000 proxies
# holds the loop for 200 ms.
FULL_LOOK_EVERY = 160_000


def seldom() -> None:
    """From here on the collector looks at what is young, a little at a time; through everything it
    goes seldom.
    """
    gc.set_threshold(YOUNG_LOOK_EVERY, MIDDLE_LOOK_EVERY, FULL_LOOK_EVERY)


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
