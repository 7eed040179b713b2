"""What a template of Go's makes of a few texts, by name. Pure.

Enough of text/template to say whether Kuma could evaluate a template, and to what. What is absent
is `<no value>`, as there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from reconciler.templates.functions import ABSENT, TEXT_MAX, Record, is_true, result, shown
from reconciler.templates.tokens import TemplateError
from reconciler.templates.tree import (
    Action,
    Branch,
    Call,
    Dot,
    Fields,
    Leave,
    Literal,
    Name,
    Pipe,
    Template,
    Text,
    Variable,
    parsed,
)

STEPS_MAX = 10_000
CALLS_MAX = 50
READ_MAX = 256  # templates that are kept as they were read


Function = Callable[[str], str]
_NONE: Mapping[str, Function] = {}


@dataclass(frozen=True, slots=True)
class _Left:
    kind: str


@dataclass(slots=True)
class _Run:
    template: Template
    functions: Mapping[str, Function]
    out: list[str] = field(default_factory=list)
    variables: list[list[Any]] = field(default_factory=list)  # name and value, the innermost last
    steps: int = 0
    size: int = 0
    calls: int = 0


def evaluated(
    text: str,
    values: Mapping[str, str],
    functions: Mapping[str, Function] = _NONE,
) -> str:
    """`values` are a map, or a `Record`; `functions` take one text each. Raises TemplateError."""
    run = _Run(_read(text, frozenset(functions)), functions)
    data = values if isinstance(values, Record) else dict(values)
    run.variables.append(["$", data])
    _walk(run, run.template.nodes, data)
    return "".join(run.out)


@lru_cache(maxsize=READ_MAX)
def _read(text: str, functions: frozenset[str]) -> Template:
    """A few templates are evaluated for thousands of services."""
    return parsed(text, functions)


def _walk(run: _Run, nodes: tuple[object, ...], dot: object) -> _Left | None:
    for node in nodes:
        run.steps += 1
        if run.steps > STEPS_MAX:
            raise TemplateError("takes too long; write less into it")
        left: _Left | None = None
        match node:
            case Text(text):
                _write(run, text)
            case Action(pipe):
                value = _pipe(run, pipe, dot)
                if not pipe.declared:
                    _write(run, shown(value))
            case Branch():
                left = _branch(run, node, dot)
            case Call():
                _call(run, node, dot)
            case Leave(kind):
                left = _Left(kind)
        if left is not None:
            return left
    return None


def _write(run: _Run, text: str) -> None:
    run.out.append(text)
    run.size += len(text)
    if run.size > TEXT_MAX:
        raise TemplateError("makes too long a text; write less into it")


def _branch(run: _Run, node: Branch, dot: object) -> _Left | None:
    seen = len(run.variables)
    if node.kind == "range":
        left = _range(run, node, dot)
    else:
        value = _pipe(run, node.pipe, dot)
        inner = value if node.kind == "with" else dot
        left = _walk(run, node.body, inner) if is_true(value) else _walk(run, node.other, dot)
    del run.variables[seen:]
    return left


def _range(run: _Run, node: Branch, dot: object) -> _Left | None:
    value = _pipe(run, Pipe(node.pipe.commands), dot)
    pairs: list[tuple[object, object]]
    if isinstance(value, Mapping) and not isinstance(value, Record):
        pairs = sorted(cast("Mapping[str, object]", value).items())
    elif isinstance(value, int) and not isinstance(value, bool):
        pairs = [(n, n) for n in range(min(value, STEPS_MAX + 1))]
    elif value is ABSENT:
        pairs = []
    else:
        raise TemplateError("range goes over nothing that has parts; remove it")
    names = node.pipe.declared
    if node.pipe.declared and isinstance(value, int) and len(names) > 1:
        raise TemplateError("a number has no keys; declare one variable")
    for key, item in pairs:
        seen = len(run.variables)
        given = (item,) if len(names) == 1 else (key, item)
        for name, each in zip(names, given, strict=False):
            _set(run, name, each, assigns=node.pipe.assigns)
        left = _walk(run, node.body, item)
        del run.variables[seen:]
        if left is not None and left.kind == "break":
            break
    return None if pairs else _walk(run, node.other, dot)


def _call(run: _Run, node: Call, dot: object) -> None:
    body = run.template.defined.get(node.name)
    if body is None:
        raise TemplateError(f'no template "{node.name}" is defined; define it, or remove this')
    value = ABSENT if node.pipe is None else _pipe(run, node.pipe, dot)
    run.calls += 1
    if run.calls > CALLS_MAX:
        raise TemplateError("templates call each other without an end; remove a call")
    outer, run.variables = run.variables, [["$", value]]
    _walk(run, body, value)
    run.variables = outer
    run.calls -= 1


def _set(run: _Run, name: str, value: object, *, assigns: bool) -> None:
    if not assigns:
        run.variables.append([name, value])
        return
    next(pair for pair in reversed(run.variables) if pair[0] == name)[1] = value


def _pipe(run: _Run, pipe: Pipe, dot: object) -> object:
    value: object = None
    for index, command in enumerate(pipe.commands):
        value = _command(run, command, dot, (value,) if index else ())
    for name in pipe.declared:
        _set(run, name, value, assigns=pipe.assigns)
    return value


def _command(
    run: _Run, command: tuple[object, ...], dot: object, piped: tuple[object, ...]
) -> object:
    first = command[0]
    if isinstance(first, Name):
        return _function(run, first.name, command[1:], dot, piped)
    if len(command) > 1 or piped:
        raise TemplateError("arguments are given to what is no function; remove them")
    if isinstance(first, Literal) and first.value is None:
        raise TemplateError("nil is no value to show; remove it")
    return _value(run, first, dot)


def _value(run: _Run, node: object, dot: object) -> object:
    run.steps += 1
    match node:
        case Literal(value):
            return value
        case Dot():
            return dot
        case Variable(name):
            return next(pair[1] for pair in reversed(run.variables) if pair[0] == name)
        case Pipe():
            return _pipe(run, node, dot)
        case Fields(of, names):
            found = dot if of is None else _value(run, of, dot)
            for name in names:
                found = _field(found, name)
            return found
        case Name(name):
            return _function(run, name, (), dot, ())
    raise AssertionError(node)


def _field(value: object, name: str) -> object:
    if value is ABSENT:
        return ABSENT
    if value is None:
        raise TemplateError(f"nil has no .{name}; remove it")
    if not isinstance(value, Mapping):
        raise TemplateError(f"a text or number has no .{name}; remove it")
    if isinstance(value, Record) and name not in value:
        raise TemplateError(f"there is no .{name}; write one of {', '.join(value)}")
    return value.get(name, ABSENT)


# --- functions ---


def _function(
    run: _Run, name: str, nodes: tuple[object, ...], dot: object, piped: tuple[object, ...]
) -> object:
    if name in ("and", "or"):
        return _and_or(run, name, nodes, dot, piped)
    values = [_value(run, node, dot) for node in nodes]
    values += piped
    least, most = _COUNTS.get(name, (0, None))
    if len(values) < least or (most is not None and len(values) > most):
        raise TemplateError(f"{name} is given {len(values)} values; give it {most or least}")
    own = run.functions.get(name)
    if own is None:
        return result(name, values)
    if len(values) != 1 or not isinstance(values[0], str):
        raise TemplateError(f"{name} takes one text; put it in quotes")
    return own(values[0])


_COUNTS: dict[str, tuple[int, int | None]] = {
    "not": (1, 1),
    "len": (1, 1),
    "index": (1, None),
    "slice": (1, 4),
    "printf": (1, None),
    "call": (1, None),
    "eq": (1, None),
} | dict.fromkeys(("ne", "lt", "le", "gt", "ge"), (2, 2))


def _and_or(
    run: _Run, name: str, nodes: tuple[object, ...], dot: object, piped: tuple[object, ...]
) -> object:
    """They stop at the first value that decides."""
    value: object = ABSENT
    if not nodes and not piped:
        raise TemplateError(f"{name} is given nothing; give it values")
    for node in nodes:
        value = _value(run, node, dot)
        if is_true(value) == (name == "or"):
            return value
    return piped[0] if piped else value
