"""Merging the confs of several policies into one: RFC 7396 on typed values.

In a conf, None means "not said". Objects merge field by field, scalars and lists replace. Each
policy writes its own typed `merge` with `over`; this module folds it.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


def over(weak: T | None, strong: T | None) -> T | None:
    """The stronger value where it says something."""
    return weak if strong is None else strong


def merge_all(confs: Iterable[T], merge: Callable[[T, T], T]) -> T:
    """One conf out of at least one, in ascending precedence."""
    return reduce(merge, confs)


def over_with(weak: T | None, strong: T | None, merge: Callable[[T, T], T]) -> T | None:
    """For an object inside a conf: merged where both have it."""
    if weak is None or strong is None:
        return over(weak, strong)
    return merge(weak, strong)
