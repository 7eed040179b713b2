"""A part of a document with its place, and the rules that many kinds share. Pure.

Checks run on documents that the schema has refused, too: one round reports everything. So a part
answers for whatever stands there: what is absent, or of another type than asked for, is empty, and
of types the schema speaks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from reconciler.duration import parse_duration
from reconciler.problems import Key, Path, Position, Problem, Severity
from reconciler.schema import one_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

At = Callable[[Path], Position]  # place of the deepest part of the path that the document has
Faults = Iterator[Problem]
PERCENT_MAX = 100
PORT_MAX = 65535
_FILE_PATH = re.compile(
    r"(/[^/\x00]*)+/?" r'|[a-zA-Z]:\\(?:[^\\/:*?"<>|\r\n]+\\)*[^\\/:*?"<>|\r\n]*'
)
_DECIMAL = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Part:
    """`value` is None where the document has nothing. `path` is inside the spec."""

    value: object
    path: Path
    at: At

    def __getitem__(self, name: str) -> Part:
        """A field of an object."""
        return Part(self.fields.get(name), (*self.path, name), self.at)

    def __bool__(self) -> bool:
        """Whether it is there. An empty list or object is."""
        return self.value is not None

    @property
    def name(self) -> str:
        return str(self.path[-1]) if self.path else ""

    @property
    def fields(self) -> Mapping[str, object]:
        given = self.value
        return cast("Mapping[str, object]", given) if isinstance(given, Mapping) else {}

    @property
    def text(self) -> str:
        return self.value if isinstance(self.value, str) else ""

    @property
    def number(self) -> float | int | None:
        value = self.value
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    @property
    def is_list(self) -> bool:
        return isinstance(self.value, list | tuple)

    def items(self) -> Iterator[Part]:
        """The entries of a list."""
        if isinstance(self.value, list | tuple):
            for index, item in enumerate(self.value):
                yield Part(item, (*self.path, index), self.at)

    def entries(self) -> Iterator[tuple[str, Part]]:
        """Keys and values of a map such as tags; of an object with fields use `[]`."""
        for key, value in self.fields.items():
            yield key, Part(value, (*self.path, Key(key)), self.at)

    def set(self, name: str) -> bool:
        """Whether a field is there and not empty: all that Kuma sees of a text, list or map."""
        return self.fields.get(name) not in (None, "", [], (), {})

    def given(self, *names: str) -> list[Part]:
        """Those of the fields that are there."""
        return [self[name] for name in names if self[name]]

    def called(self, path: Path) -> Part:
        """The same part under the path by which Kuma's API names it, where that is another."""
        here, at = len(self.path), self.at
        return Part(
            self.value,
            self.path,
            lambda inner: replace(at(inner), field=at((*path, *inner[here:])).field),
        )

    def fault(self, code: str, message: str) -> Problem:
        return Problem(self.at(self.path), code, message)

    def warning(self, code: str, message: str) -> Problem:
        return Problem(self.at(self.path), code, message, Severity.WARNING)


def required(part: Part, cure: str) -> Faults:
    """`cure` says what to write."""
    if not part:
        yield part.fault("VAL001", f"{part.name} is missing; {cure}")


def not_empty(part: Part, cure: str) -> Faults:
    """An absent, empty text, list or map. `cure` says what to write."""
    if part.value in (None, "", [], (), {}):
        state = "is empty" if part else "is missing"
        yield part.fault("VAL002" if part else "VAL001", f"{part.name} {state}; {cure}")


def in_range(part: Part, least: float, most: float | None = None) -> Faults:
    """A number that is there; both ends are allowed."""
    number = part.number
    if number is None or (number >= least and (most is None or number <= most)):
        return
    words = f"at least {least}" if most is None else f"between {least} and {most}"
    is_item = bool(part.path) and isinstance(part.path[-1], int)
    text = f"{number} is out of range" if is_item else f"{part.name} is {number}"
    yield part.fault("VAL003", f"{text}; it must be {words}")


def port(part: Part) -> Faults:
    yield from in_range(part, 1, PORT_MAX)


def duration(
    part: Part, *, above: timedelta | None = None, least: timedelta | None = None
) -> Faults:
    """A duration that is there: `above` is not allowed itself, `least` is."""
    if not isinstance(part.value, str):
        return
    span = parse_duration(part.value)
    if span is None:
        text = f'{part.name} "{part.value[:60]}" is not a duration; write it like 1m30s'
        yield part.fault("VAL004", text)
    elif above is not None and span <= above:
        yield part.fault("VAL004", f"{part.name} must be greater than {_shown(above)}")
    elif least is not None and span < least:
        yield part.fault("VAL004", f"{part.name} must be at least {_shown(least)}")


def positive_duration(part: Part) -> Faults:
    yield from duration(part, above=timedelta())


def duration_not_negative(part: Part) -> Faults:
    yield from duration(part, least=timedelta())


def _shown(span: timedelta) -> str:
    seconds = span.total_seconds()
    return f"{seconds:g}s"


def percentage(part: Part) -> Faults:
    """A number or a decimal in quotes, 0 to 100."""
    number = percent_of(part)
    if part and isinstance(part.value, str) and number is None:
        text = f'{part.name} "{part.value[:60]}" is not a number; write it like 33.3'
        yield part.fault("VAL005", text)
    elif number is not None and not 0 <= number <= PERCENT_MAX:
        yield part.fault("VAL005", f"{part.name} is {part.value}; it must be between 0 and 100")


def percent_of(part: Part) -> float | None:
    """None where no number can be read."""
    return number_of(part.value)


def number_of(value: object) -> float | None:
    """A number, or a decimal in quotes; None where none can be read."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return float(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else None


def word(part: Part, words: Sequence[str]) -> Faults:
    """One of the words, where it is there."""
    if part and part.value not in words:
        yield part.fault("VAL006", one_of(part.value, words))


def exactly_one(part: Part, *names: str) -> Faults:
    """Of the fields of an object."""
    given = part.given(*names)
    if not given:
        yield part.fault("VAL008", f"{_named(part)} needs one of {', '.join(names)}; write one")
    yield from at_most_one(part, *names)


def at_most_one(part: Part, *names: str) -> Faults:
    given = [each.name for each in part.given(*names)]
    if len(given) > 1:
        yield part.fault("VAL007", f"{' and '.join(given)} exclude each other; keep one of them")


def at_least_one(part: Part, *names: str) -> Faults:
    if not part.given(*names):
        cure = "write one" if len(part.path) == 0 else "write one, or leave it out"
        yield part.fault("VAL008", f"{_named(part)} sets none of {', '.join(names)}; {cure}")


def unique(parts: Iterable[Part], what: str) -> Faults:
    """Each of the parts that is a repetition of one before it."""
    seen: set[object] = set()
    for part in parts:
        if isinstance(part.value, str | int):
            if part.value in seen:
                text = f'{what} "{part.value}" is here a second time; remove or rename one'
                yield part.fault("VAL009", text)
            seen.add(part.value)


def form(part: Part, pattern: re.Pattern[str], what: str, cure: str) -> Faults:
    """The whole of a text that is there."""
    if isinstance(part.value, str) and pattern.fullmatch(part.value) is None:
        yield part.fault("VAL010", f'"{part.value[:60]}" is not {what}; {cure}')


def file_path(part: Part) -> Faults:
    """The whole path of a file, on Unix or Windows."""
    yield from form(part, _FILE_PATH, "the path of a file", "begin it with /")


def not_allowed(part: Part, why: str) -> Faults:
    """A field that must not be there. `why`: "a TCP route has none"."""
    if part:
        yield part.fault("VAL011", f"{part.name} cannot be set here: {why}; remove it")


def _named(part: Part) -> str:
    return part.name if part.path and not isinstance(part.path[-1], int) else "this"
