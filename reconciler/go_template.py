"""Go's templates, as far as names are made of them. Pure.

`rendered` says what a template makes of an example, or why it makes nothing of it. It knows fields,
functions, pipelines, variables, `if` and `with`; a template that defines others is beyond it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.go_template_functions import (
    FUNCTIONS,
    Beyond,
    TemplateError,
    Value,
    is_true,
    shown,
)

LENGTH_MAX = 4096
DEPTH_MAX = 32
_ACTION = re.compile(
    r"\{\{(?P<left>-\s)?(?:/\*.*?\*/(?P<comment>)|(?P<body>(?:\"(?:\\.|[^\"\\])*\"|`[^`]*`|[^\"`])*?))"
    r"(?P<right>\s-)?\}\}",
    re.DOTALL,
)
_TOKEN = re.compile(
    r"\s*(?:(?P<text>\"(?:\\.|[^\"\\\n])*\"|`[^`]*`)|(?P<number>[-+]?[0-9]+(?:\.[0-9]+)?(?!\w))"
    r"|(?P<constant>[-+]?[0-9]\w*(?:\.[0-9]\w*)?|'(?:\\.|[^'\\\n])')"
    r"|(?P<field>(?:\.[A-Za-z_]\w*)+)|(?P<variable>\$\w*)|(?P<word>[A-Za-z_]\w*)"
    r"|(?P<sign>:=|[|().=,]))"
)
_BEYOND = ("define", "template", "block")
_OF_RANGE = ("range", "break", "continue")


@dataclass(slots=True)
class _Node:
    """A text, a pipeline, or a condition with its branches."""

    text: str = ""
    tokens: list[tuple[str, str]] = field(default_factory=list)
    word: str = ""  # if, with
    then: list[_Node] = field(default_factory=list)
    otherwise: list[_Node] = field(default_factory=list)


def rendered(template: str, example: Mapping[str, str], label: str) -> str | None:
    """None where the template uses what is not known here. `label`: what that function returns."""
    if len(template) > LENGTH_MAX:
        return None
    try:
        nodes, _ = _parsed(_split(template), 0, 0)
        functions = {**FUNCTIONS, "label": lambda args: _label(args, label)}
        return _executed(nodes, example, _Scope(example, functions, {"$": example}))
    except (Beyond, RecursionError):
        return None


def _label(args: Sequence[Value], value: str) -> Value:
    if len(args) != 1 or not isinstance(args[0], str):
        raise TemplateError("label takes the name of one label, in quotes")
    return value


# --- parse ---


def _split(template: str) -> list[str | list[tuple[str, str]]]:
    """Texts and actions, in turn."""
    found: list[str | list[tuple[str, str]]] = []
    at, trim = 0, False
    for match in _ACTION.finditer(template):
        before = template[at : match.start()]
        before = before.lstrip() if trim else before
        found.append(before.rstrip() if match["left"] else before)
        if match["comment"] is None:
            found.append(_tokens(match["body"]))
        at, trim = match.end(), match["right"] is not None
    rest = template[at:].lstrip() if trim else template[at:]
    if any("{{" in text for text in (*found, rest) if isinstance(text, str)):
        raise TemplateError("an action that begins with {{ does not end; write }}")
    return [*found, rest]


def _tokens(body: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    body = body.rstrip()
    while at < len(body):
        match = _TOKEN.match(body, at)
        if match is None:
            raise TemplateError(f'"{body[at:].strip()[:20]}" is not understood')
        token = str(match.lastgroup), match[str(match.lastgroup)]
        if found and not match[0][0].isspace() and not _may_touch(found[-1], token):
            raise TemplateError(f'"{token[1]}" needs a space in front of it')
        found.append(token)
        at = match.end()
    return found


def _may_touch(one: tuple[str, str], other: tuple[str, str]) -> bool:
    if one[0] == "sign" and one[1] not in (")", "."):
        return True
    chained = other[0] == "field" and (one[0] == "variable" or one[1] == ")")
    return chained or (other[0] == "sign" and other[1] not in ("(", "."))


def _parsed(
    parts: Sequence[str | list[tuple[str, str]]], at: int, depth: int
) -> tuple[list[_Node], int]:
    """The nodes up to the `end` or `else` that belongs to an outer one; its place."""
    if depth > DEPTH_MAX:
        raise Beyond
    nodes: list[_Node] = []
    while at < len(parts):
        part = parts[at]
        at += 1
        if isinstance(part, str):
            nodes.append(_Node(text=part))
            continue
        word = part[0][1] if part and part[0][0] == "word" else ""
        if word in _BEYOND:
            raise Beyond
        if word in _OF_RANGE:
            raise TemplateError(f"{word} has nothing to go through here")
        if word in ("end", "else"):
            if depth == 0:
                raise TemplateError(f"{word} without if or with")
            return nodes, at - 1
        if word in ("if", "with"):
            node, at = _condition(word, part[1:], parts, at, depth)
            nodes.append(node)
        elif not part:
            raise TemplateError("an action is empty; write a field in it")
        else:
            nodes.append(_Node(tokens=part))
    if depth:
        raise TemplateError("if or with does not end; write {{ end }}")
    return nodes, at


def _condition(
    word: str,
    tokens: list[tuple[str, str]],
    parts: Sequence[str | list[tuple[str, str]]],
    at: int,
    depth: int,
) -> tuple[_Node, int]:
    node = _Node(word=word, tokens=tokens)
    node.then, at = _parsed(parts, at, depth + 1)
    closing = [each[1] for each in parts[at]]
    if closing == ["else"]:
        node.otherwise, at = _parsed(parts, at + 1, depth + 1)
        closing = [each[1] for each in parts[at]]
    elif closing[:1] == ["else"]:  # else if: its end is this one's
        rest = parts[at]
        assert not isinstance(rest, str)
        if closing[1] not in ("if", "with"):
            raise TemplateError(f'"else {closing[1]}" is not understood')
        inner, at = _condition(closing[1], rest[2:], parts, at + 1, depth + 1)
        node.otherwise = [inner]
        return node, at
    if closing != ["end"]:
        raise TemplateError(f"{' '.join(closing)} is not understood")
    return node, at + 1


# --- execute ---


@dataclass(slots=True)
class _Scope:
    dot: Value
    functions: Mapping[str, Callable[[Sequence[Value]], Value]]
    variables: dict[str, Value]


def _executed(nodes: Sequence[_Node], example: Mapping[str, str], scope: _Scope) -> str:
    text = ""
    for node in nodes:
        if node.word:
            value = _pipeline(list(node.tokens), scope)
            inner = _Scope(value if node.word == "with" else scope.dot, scope.functions, {})
            inner.variables = dict(scope.variables)
            if is_true(value):
                text += _executed(node.then, example, inner)
            else:
                inner.dot = scope.dot
                text += _executed(node.otherwise, example, inner)
        elif node.tokens:
            sets = len(node.tokens) > 1 and node.tokens[1][1] in (":=", "=")
            value = _pipeline(list(node.tokens), scope)
            text += "" if sets else shown(value)
        else:
            text += node.text
    return text


def _pipeline(tokens: list[tuple[str, str]], scope: _Scope) -> Value:
    if len(tokens) > 1 and tokens[0][0] == "variable" and tokens[1][1] in (":=", "="):
        name = tokens[0][1]
        if tokens[1][1] == "=" and name not in scope.variables:
            raise TemplateError(f"{name} is not set")
        scope.variables[name] = _commands(tokens[2:], scope)
        return scope.variables[name]
    return _commands(tokens, scope)


def _commands(tokens: list[tuple[str, str]], scope: _Scope) -> Value:
    """Each command of a pipeline gets what the one before returned as its last argument."""
    commands: list[list[tuple[str, str]]] = [[]]
    depth = 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token[1], 0) if token[0] == "sign" else 0
        if token == ("sign", "|") and depth == 0:
            commands.append([])
        else:
            commands[-1].append(token)
    if len(commands) > 1 and not commands[-1]:  # Go lets the last one be missing.
        commands.pop()
    if not all(commands) or depth:
        raise TemplateError("a command is missing")
    value = _command(commands[0], scope, [])
    for command in commands[1:]:
        if command[0][0] != "word":
            raise TemplateError(f'"{command[0][1]}" takes nothing; only functions do')
        value = _command(command, scope, [value])
    return value


def _command(tokens: list[tuple[str, str]], scope: _Scope, last: list[Value]) -> Value:
    kind, word = tokens[0]
    if kind == "word" and word not in ("true", "false", "nil"):
        function = scope.functions.get(word)
        if function is None:
            raise TemplateError(f'there is no function "{word}"')
        args = []
        at = 1
        while at < len(tokens):
            value, at = _operand(tokens, at, scope)
            args.append(value)
        return function([*args, *last])
    value, at = _operand(tokens, 0, scope)
    if at < len(tokens):
        raise TemplateError(f'"{word}" is no function and takes nothing')
    if word == "nil":
        raise TemplateError("nil is no command")
    return value


def _operand(tokens: list[tuple[str, str]], at: int, scope: _Scope) -> tuple[Value, int]:
    kind, word = tokens[at]
    value: Value
    if (kind, word) == ("sign", "("):
        depth, end = 1, at + 1
        while end < len(tokens) and depth:
            depth += {"(": 1, ")": -1}.get(tokens[end][1], 0) if tokens[end][0] == "sign" else 0
            end += 1
        value, after = _pipeline(tokens[at + 1 : end - 1], scope), end
    else:
        value, after = _term(kind, word, scope), at + 1
    if after < len(tokens) and tokens[after][0] == "field" and kind in ("variable", "sign"):
        value, after = _field(value, tokens[after][1]), after + 1
    return value, after


def _term(kind: str, word: str, scope: _Scope) -> Value:
    match kind:
        case "text":
            return word[1:-1] if word[0] == "`" else _unquoted(word)
        case "constant":
            return _constant(word)
        case "number":
            return float(word) if "." in word else int(word)
        case "field":
            return _field(scope.dot, word)
        case "variable":
            if word not in scope.variables:
                raise TemplateError(f"{word} is not set")
            return scope.variables[word]
        case "word" if word in ("true", "false", "nil"):
            return {"true": True, "false": False}.get(word)
        case "word":
            return scope.functions[word]([]) if word in scope.functions else _unknown(word)
        case _ if word == ".":
            return scope.dot
        case _:
            return _unknown(word)


def _unknown(word: str) -> Value:
    raise TemplateError(f'"{word}" is not understood')


def _constant(word: str) -> Value:
    """A number in another form, or a character, which is its number."""
    try:
        return ord(word[1]) if len(word) == 3 and word[0] == "'" else int(word, 0)
    except ValueError:
        raise Beyond from None


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        raise Beyond from None


def _field(value: Value, path: str) -> Value:
    for name in path[1:].split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise TemplateError(f"there is no field .{name}")
        value = value[name]
    return value
