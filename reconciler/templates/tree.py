"""The templates of Go's text/template as trees: what of them can be parsed at all. Pure.

`values` evaluates them. Only what a template does with a few texts is known here: no
functions of one's own, no methods, no complex numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.templates.tokens import (
    DEPTH_MAX,
    SPACE,
    TemplateError,
    Token,
    number,
    one,
    pieces,
    unquoted,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_COMPARING = ("eq", "ne", "lt", "le", "gt", "ge")
_WRITING = ("print", "printf", "println", "html", "js", "urlquery")
FUNCTIONS = frozenset(("and", "or", "not", "len", "index", "slice", "call", *_WRITING, *_COMPARING))
_KEYWORDS = ("block", "break", "continue", "define", "else", "end", "if", "range", "nil")
KEYWORDS = frozenset((*_KEYWORDS, "template", "with"))
_WORDS: dict[str, object] = {"true": True, "false": False, "nil": None}


@dataclass(frozen=True, slots=True)
class Literal:
    value: object  # a text, number or truth value; None is nil


@dataclass(frozen=True, slots=True)
class Dot:
    pass


@dataclass(frozen=True, slots=True)
class Name:
    """A function."""

    name: str


@dataclass(frozen=True, slots=True)
class Fields:
    """`.a.b`, `$x.a` or `(…).a`: `of` is None for what is at hand."""

    of: object
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    name: str


@dataclass(frozen=True, slots=True)
class Pipe:
    """`declared` are variables; with `assigns` they are there already."""

    commands: tuple[tuple[object, ...], ...]
    declared: tuple[str, ...] = ()
    assigns: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Action:
    pipe: Pipe


@dataclass(frozen=True, slots=True)
class Branch:
    """`kind`: if, with or range."""

    kind: str
    pipe: Pipe
    body: tuple[object, ...]
    other: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """Another template, by its name."""

    name: str
    pipe: Pipe | None


@dataclass(frozen=True, slots=True)
class Leave:
    """`kind`: break or continue."""

    kind: str


@dataclass(slots=True)
class Template:
    nodes: tuple[object, ...] = ()
    defined: dict[str, tuple[object, ...]] = field(default_factory=dict)


def parsed(text: str, functions: Iterable[str] = ()) -> Template:
    """`functions`: those there are beside Go's. Raises TemplateError."""
    parser = _Parser(pieces(text), FUNCTIONS.union(functions))
    found = Template()
    nodes, _ = parser.nodes(found, ())
    found.nodes = nodes
    if _says_something(nodes) and _says_something(found.defined.get("", ())):
        raise TemplateError("a template has no name; give it one")
    return found


class _Parser:
    """Over the pieces of a text. `variables` are those in sight."""

    def __init__(self, pieces: list[str | list[Token]], functions: frozenset[str]) -> None:
        self.pieces = pieces
        self.functions = functions
        self.at = 0
        self.variables = ["$"]
        self.loops = 0
        self.depth = 0

    def nodes(self, whole: Template, ends: tuple[str, ...]) -> tuple[tuple[object, ...], _Line]:
        """Up to one of the words `ends`, whose line is returned."""
        found: list[object] = []
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise TemplateError("is nested too deep; write less into it")
        while self.at < len(self.pieces):
            piece = self.pieces[self.at]
            self.at += 1
            if isinstance(piece, str):
                found += [Text(piece)] if piece else []
                continue
            line = _Line(piece, self)
            if line.word in ends:
                self.depth -= 1
                return tuple(found), line
            found += self._statement(whole, line)
        if ends:
            raise TemplateError("something does not end; write {{end}}")
        self.depth -= 1
        return tuple(found), _Line([], self)

    def _statement(self, whole: Template, line: _Line) -> list[object]:
        word = line.word
        if word in ("if", "with", "range"):
            line.skip_word()
            return [self._branch(whole, word, line)]
        if word in ("define", "block"):
            return self._definition(whole, word, line)
        if word == "template":
            line.skip_word()
            name = line.text()
            pipe = None if line.is_over() else line.pipe("template")
            return [Call(name, pipe)]
        if word in ("break", "continue"):
            line.skip_word()
            line.end(word)
            if not self.loops:
                raise TemplateError(f"{word} stands outside of a range; remove it")
            return [Leave(word)]
        if word in ("else", "end"):
            raise TemplateError(f"{{{{{word}}}}} ends nothing; remove it")
        return [Action(line.pipe("command"))]

    def _branch(self, whole: Template, kind: str, line: _Line) -> Branch:
        seen = len(self.variables)
        pipe = line.pipe(kind)
        self.loops += kind == "range"
        body, last = self.nodes(whole, ("else", "end"))
        self.loops -= kind == "range"
        other: tuple[object, ...] = ()
        if last.word == "else":
            last.skip_word()
            if last.word in ("if", "with") and last.word == kind:
                last.skip_word()
                other = (self._branch(whole, kind, last),)
            else:
                last.end("else")
                other, last = self.nodes(whole, ("end",))
                last.skip_word()
                last.end("end")
        else:
            last.skip_word()
            last.end("end")
        del self.variables[seen:]
        return Branch(kind, pipe, body, other)

    def _definition(self, whole: Template, word: str, line: _Line) -> list[object]:
        if word == "define" and self.depth > 1:
            raise TemplateError("{{define}} stands inside of something; move it out")
        line.skip_word()
        name = line.text()
        pipe = line.pipe("block") if word == "block" else None
        if word == "define":
            line.end("define")
        outer, self.variables = self.variables, ["$"]
        loops, self.loops = self.loops, 0
        body, last = self.nodes(whole, ("end",))
        last.skip_word()
        last.end("end")
        self.variables, self.loops = outer, loops
        if _says_something(whole.defined.get(name, ())):
            if _says_something(body):
                raise TemplateError(f'template "{name}" is defined twice; remove one')
        else:
            whole.defined[name] = body
        return [Call(name, pipe)] if word == "block" else []


class _Line:
    """The tokens of one action."""

    def __init__(self, tokens: list[Token], parser: _Parser) -> None:
        self.tokens = tokens
        self.at = 0
        self.parser = parser
        self.skip_space()

    @property
    def word(self) -> str:
        """The keyword that it begins with."""
        token = self.peek()
        return token.text if token.kind == "word" and token.text in KEYWORDS else ""

    def peek(self) -> Token:
        return self.tokens[self.at] if self.at < len(self.tokens) else Token("end", "")

    def next(self) -> Token:
        token = self.peek()
        self.at += 1
        return token

    def skip_space(self) -> bool:
        if self.peek().kind != "space":
            return False
        self.at += 1
        return True

    def skip_word(self) -> None:
        self.at += 1
        self.skip_space()

    def is_over(self) -> bool:
        self.skip_space()
        return self.peek().kind == "end"

    def end(self, word: str) -> None:
        if not self.is_over():
            raise TemplateError(f'"{self.peek().text}" cannot stand in {{{{{word}}}}}; remove it')

    def text(self) -> str:
        token = self.next()
        if token.kind not in ("string", "raw"):
            raise TemplateError("a template's name stands in quotes; write it so")
        return unquoted(token.text)

    def pipe(self, where: str, *, inner: bool = False) -> Pipe:
        self.skip_space()
        declared, assigns = ((), False) if inner else self._declared(where)
        commands: list[tuple[object, ...]] = []
        goes_on = True
        while goes_on:
            self.skip_space()
            token = self.peek()
            if token.kind == "end" or token.text == ")":
                break
            command, goes_on = self._command()
            commands.append(command)
        if not commands:
            raise TemplateError(f"a value is missing in {where}; write one such as .name")
        for command in commands[1:]:
            if isinstance(command[0], Literal | Dot):
                raise TemplateError("only a function can take what is in front of |; write one")
        self.parser.variables += () if assigns else declared
        return Pipe(tuple(commands), declared, assigns)

    def _declared(self, where: str) -> tuple[tuple[str, ...], bool]:
        found: list[str] = []
        start = self.at
        while self.peek().kind == "variable":
            found.append(self.next().text)
            self.skip_space()
            token = self.peek()
            if token.text in (":=", "=") and len(found) in (1, 2):
                self.at += 1
                assigns = token.text == "="
                unknown = [name for name in found if name not in self.parser.variables]
                if assigns and unknown:
                    raise TemplateError(f"{unknown[0]} is no variable; write := in front of it")
                return tuple(found), assigns
            if token.text == "," and where == "range" and len(found) == 1:
                self.at += 1
                self.skip_space()
                continue
            break
        self.at = start
        return (), False

    def _command(self) -> tuple[tuple[object, ...], bool]:
        """Its operands, and whether another command follows."""
        found: list[object] = []
        while True:
            self.skip_space()
            operand = self._operand()
            if operand is not None:
                found.append(operand)
            token = self.peek()
            if token.kind == "space":
                self.at += 1
                continue
            if not found and (token.kind == "end" or token.text in (")", "|")):
                raise TemplateError("a value is missing beside |; write one")
            if token.kind == "end" or token.text == ")":
                return tuple(found), False
            if token.text == "|":
                self.at += 1
                return tuple(found), True
            raise TemplateError(f'"{token.text}" cannot stand here; put a space in front of it')

    def _operand(self) -> object | None:
        token = self.peek()
        base = self._term(token)
        if base is None:
            return None
        names: list[str] = []
        while self.peek().kind == "field":
            names.append(self.next().text[1:])
        if not names:
            return base
        if isinstance(base, Literal | Dot):
            raise TemplateError(f'"{token.text}" has no fields; put a space in front of the dot')
        if isinstance(base, Fields) and base.of is None:
            return Fields(None, (*base.names, *names))
        return Fields(base, tuple(names))

    def _term(self, token: Token) -> object | None:
        self.at += 1
        match token.kind:
            case "field":
                return Fields(None, (token.text[1:],))
            case "dot":
                return Dot()
            case "variable":
                if token.text not in self.parser.variables:
                    raise TemplateError(f"{token.text} is no variable; declare it with :=")
                return Variable(token.text)
            case "string" | "raw":
                return Literal(unquoted(token.text))
            case "char":
                return Literal(ord(one(unquoted(token.text))))
            case "number":
                return Literal(number(token.text))
            case "word":
                return self._named(token.text)
        if token.text == "(":
            inner = self.pipe("parentheses", inner=True)
            self.skip_space()
            self.at += 1  # The closing one: they are in pairs.
            return inner
        self.at -= 1
        return None

    def _named(self, word: str) -> object:
        if word in _WORDS:
            return Literal(_WORDS[word])
        if word in self.parser.functions:
            return Name(word)
        text = f'"{word}" is no function; write .{word} for a value of that name'
        raise TemplateError(text)


def _says_something(nodes: tuple[object, ...]) -> bool:
    return any(not isinstance(node, Text) or node.text.strip(SPACE) for node in nodes)
