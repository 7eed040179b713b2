"""The words of Go's templates: texts, and what stands between braces. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

SPACE = " \t\r\n"
_TOKENS = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<field>\.[^\W\d]\w*)
    |(?P<variable>\$\w*)
    |(?P<number>[-+]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+
        |(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9_]+)?))
    |(?P<dot>\.)
    |(?P<word>[^\W\d]\w*)
    |(?P<string>"(?:[^"\\\n]|\\.)*")
    |(?P<raw>`[^`]*`)
    |(?P<char>'(?:[^'\\\n]|\\.[^'\n]*)')
    |(?P<declare>:=)
    |(?P<mark>[=|(),])""",
    re.VERBOSE,
)
_NAMED = ("field", "variable", "word", "number")
_AFTER_NAME = re.compile(r"[ \t\r\n.,|:()=]|\Z")
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\\"'])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3}))"
)
_SIMPLE = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))
DEPTH_MAX = 50


class TemplateError(Exception):
    """Why Go would refuse the template."""


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str


def pieces(text: str) -> list[str | list[Token]]:
    """Texts, and the tokens of what stands between braces."""
    found: list[str | list[Token]] = []
    start = 0
    trims = False
    while True:
        opened = text.find("{{", start)
        plain = text[start:] if opened < 0 else text[start:opened]
        plain = plain.lstrip(SPACE) if trims else plain
        if opened < 0:
            return [*found, plain]
        at = opened + 2
        if text[at : at + 1] == "-" and text[at + 1 : at + 2] in tuple(SPACE):
            plain, at = plain.rstrip(SPACE), at + 2
        found.append(plain)
        if text.startswith("/*", at):
            start, trims = _after_comment(text, at)
        else:
            tokens, start, trims = _tokens(text, at)
            found.append(tokens)


def _after_comment(text: str, at: int) -> tuple[int, bool]:
    end = text.find("*/", at)
    if end < 0:
        raise TemplateError("a comment does not end; close it with */")
    rest = re.compile(r"([ \t\r\n]-)?\}\}").match(text, end + 2)
    if rest is None:
        raise TemplateError("a comment is alone between its braces; move the rest out")
    return rest.end(), rest[1] is not None


def _tokens(text: str, at: int) -> tuple[list[Token], int, bool]:
    """Those up to the closing braces, the place behind them, and whether space is cut there."""
    found: list[Token] = []
    depth = 0
    while True:
        closed = re.compile(r"([ \t\r\n]+-)?\}\}").match(text, at)
        if closed is not None and (closed[1] is None or closed[1][-2] in SPACE):
            if depth:
                raise TemplateError("a parenthesis does not end; close it")
            return found, closed.end(), closed[1] is not None
        match = _TOKENS.match(text, at)
        if match is None:
            shown = text[at : at + 1]
            why = f'"{shown}" means nothing between braces' if shown else "braces do not close"
            raise TemplateError(f"{why}; write {{{{.name}}}}")
        kind, at = str(match.lastgroup), match.end()
        if kind in _NAMED and not (_AFTER_NAME.match(text, at) or text.startswith("}}", at)):
            raise TemplateError(f'"{text[at : at + 1]}" cannot stand after "{match[0]}"; remove it')
        depth += {"(": 1, ")": -1}.get(match[0], 0) if kind == "mark" else 0
        if depth < 0:
            raise TemplateError("a parenthesis closes that was not opened; remove it")
        if depth > DEPTH_MAX:
            raise TemplateError("is nested too deep; write less into it")
        found.append(Token(kind, match[0]))


def one(text: str) -> str:
    if len(text) != 1:
        raise TemplateError(f"'{text}' is not one character; write it in double quotes")
    return text


def unquoted(literal: str) -> str:
    """A text in quotes, as Go writes it."""
    inner = literal[1:-1]
    if literal[0] == "`":
        return inner.replace("\r", "")
    rest = _ESCAPE.sub("", inner)
    if "\\" in rest:
        raise TemplateError(f"{literal} has an escape that Go does not know; write it out")
    return _ESCAPE.sub(_unescaped, inner)


def _unescaped(found: re.Match[str]) -> str:
    if found[1]:
        return _SIMPLE.get(found[1], found[1])
    number = int(found[5], 8) if found[5] else int(found[2] or found[3] or found[4], 16)
    if number > 0x10FFFF:
        raise TemplateError(f"{found[0]} is no character; write another")
    return chr(number)


def number(text: str) -> int | float:
    plain = text.replace("_", "")
    try:
        if re.fullmatch(r"[-+]?0[0-7]+", plain):
            return int(plain, 8)
        if re.fullmatch(r"[-+]?(0[xXbBoO][0-9a-fA-F]+|[0-9]+)", plain):
            return int(plain, 0)
        return float(plain)
    except (ValueError, OverflowError) as error:
        raise TemplateError(f'"{text[:40]}" is no number; write another') from error
