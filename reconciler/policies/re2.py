"""Regular expressions as RE2 reads them: Envoy's, in C++, and Go's, which is nearly the same.

Read from left to right once, as RE2 does: of groups it is only known whether they are open and
what in them can be repeated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

REPEATED_MAX = 1000  # RE2's own limit, of counts within counts their product
DEPTH_MAX = 1000
CODE_POINT_MAX = 0x10FFFF
SHOWN = 60  # characters of an expression in a message
_COUNT = re.compile(r"\{(0|[1-9][0-9]*)(,(0|[1-9][0-9]*)?)?\}")
_NAME = re.compile(r"[A-Za-z0-9_]+")
_FLAGS = re.compile(r"([imsU]*)(-[imsU]+)?[:)]")
_CLASS_NAME = re.compile(r"\[:\^?([a-z]+):\]")
_CLASS_WORDS = """
alnum alpha ascii blank cntrl digit graph lower print punct space upper word xdigit
"""
_CLASS_NAMES = frozenset(_CLASS_WORDS.split())
_HEX = re.compile(r"x(?:\{([0-9A-Fa-f]+)\}|[0-9A-Fa-f]{2})")
_OCTAL = re.compile(r"0[0-7]{0,2}|[1-7][0-7]{1,2}")
_CATEGORY_WORDS = """
C Cc Cf Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So
Z Zl Zp Zs Any
"""
_CATEGORIES = frozenset(_CATEGORY_WORDS.split())

# Names that Go has beside them, in small letters without marks between.
_GO_WORDS = """
casedletter closepunctuation combiningmark connectorpunctuation control currencysymbol
dashpunctuation decimalnumber enclosingmark finalpunctuation format initialpunctuation letter
letternumber lineseparator lowercaseletter mark mathsymbol modifierletter modifiersymbol
nonspacingmark number openpunctuation other otherletter othernumber otherpunctuation
othersymbol paragraphseparator privateuse punctuation separator spaceseparator spacingmark
surrogate symbol titlecaseletter unassigned uppercaseletter cntrl digit punct ascii assigned
cn lc
"""
_SCRIPT_WORDS = """
adlam ahom anatolianhieroglyphs arabic armenian avestan balinese bamum bassavah batak bengali
bhaiksuki bopomofo brahmi braille buginese buhid canadianaboriginal carian caucasianalbanian
chakma cham cherokee chorasmian common coptic cuneiform cypriot cyprominoan cyrillic deseret
devanagari divesakuru dogra duployan egyptianhieroglyphs elbasan elymaic ethiopic georgian
glagolitic gothic grantha greek gujarati gunjalagondi gurmukhi han hangul hanifirohingya
hanunoo hatran hebrew hiragana imperialaramaic inherited inscriptionalpahlavi
inscriptionalparthian javanese kaithi kannada katakana kawi kayahli kharoshthi
khitansmallscript khmer khojki khudawadi lao latin lepcha limbu lineara linearb lisu lycian
lydian mahajani makasar malayalam mandaic manichaean marchen masaramgondi medefaidrin
meeteimayek mendekikakui meroiticcursive meroitichieroglyphs miao modi mongolian mro multani
myanmar nabataean nagmundari nandinagari newtailue newa nko nushu nyiakengpuachuehmong ogham
olchiki oldhungarian olditalic oldnortharabian oldpermic oldpersian oldsogdian oldsoutharabian
oldturkic olduyghur oriya osage osmanya pahawhhmong palmyrene paucinhau phagspa phoenician
psalterpahlavi rejang runic samaritan saurashtra sharada shavian siddham signwriting sinhala
sogdian sorasompeng soyombo sundanese sylotinagri syriac tagalog tagbanwa taile taitham
taiviet takri tamil tangsa tangut telugu thaana thai tibetan tifinagh tirhuta toto ugaritic
vai vithkuqi wancho warangciti yezidi yi zanabazarsquare
"""
_GO_NAMES = frozenset(_GO_WORDS.split())
_SCRIPTS = frozenset(_SCRIPT_WORDS.split())


class _Fault(Exception):
    pass


@dataclass(slots=True)
class _Group:
    """`last`: the product of counts in what was read last, None where that cannot be repeated."""

    last: int | None = None
    most: int = 1


@dataclass(slots=True)
class _Reader:
    text: str
    is_go: bool
    at: int = 0
    groups: list[_Group] = field(default_factory=lambda: [_Group()])
    names: set[str] = field(default_factory=set)
    just_repeated: bool = False

    def starts(self, start: str) -> bool:
        return self.text.startswith(start, self.at)

    def item(self, width: int) -> None:
        """What was read is something that can be repeated."""
        self.at += width
        self.groups[-1].last = 1


def faults(value: str, *, go: bool = False) -> Iterator[str]:
    """Why Envoy, or Go, would refuse it; the first reason there is."""
    reader = _Reader(value, go)
    try:
        while reader.at < len(value):
            _one(reader)
        if len(reader.groups) > 1:
            raise _Fault("has a ( without its ); add it")
    except _Fault as fault:
        yield f'"{value[:SHOWN]}" {fault}'


def _one(reader: _Reader) -> None:
    letter = reader.text[reader.at]
    was_repeated, reader.just_repeated = reader.just_repeated, False
    if letter == "(":
        _open(reader)
    elif letter == ")":
        _close(reader)
    elif letter == "|":
        reader.at += 1
        reader.groups[-1].last = None
    elif letter in "*+?":
        _repeated(reader, 1, 1, was_repeated)
    elif letter == "{" and (count := _COUNT.match(reader.text, reader.at)):
        _repeated(reader, len(count[0]), _times(count), was_repeated)
    elif letter == "[":
        _class(reader)
    elif letter == "\\":
        _escape(reader)
    else:
        reader.item(1)


def _times(count: re.Match[str]) -> int:
    """How often at most, of `{2,}` how often at least."""
    least = _small(count[1])
    most = least if count[3] is None else _small(count[3])
    if max(least, most) > REPEATED_MAX or least > most:
        raise _Fault(f"has the count {count[0][:SHOWN]}; RE2 counts up to {REPEATED_MAX}")
    return most


def _small(digits: str) -> int:
    return int(digits) if len(digits) <= len(str(REPEATED_MAX)) else REPEATED_MAX + 1


def _repeated(reader: _Reader, width: int, times: int, was_repeated: bool) -> None:
    group = reader.groups[-1]
    sign = reader.text[reader.at : reader.at + width]
    if was_repeated:
        raise _Fault(f"repeats with {sign} what is repeated already; put it in (?:…)")
    if group.last is None:
        raise _Fault(f"has nothing for {sign} to repeat; write \\{sign[0]} for the sign itself")
    if times > 1 and group.last * times > REPEATED_MAX:
        raise _Fault(f"repeats over {REPEATED_MAX} times; use smaller counts")
    group.last *= times
    group.most = max(group.most, group.last)
    reader.at += width
    if reader.starts("?"):
        reader.at += 1
    reader.just_repeated = True


def _open(reader: _Reader) -> None:
    if not reader.starts("(?"):
        reader.at += 1
    elif reader.starts("(?P<") or reader.starts("(?<"):
        _named(reader)
    else:
        flags = _FLAGS.match(reader.text, reader.at + 2)
        if flags is None:
            what = reader.text[reader.at : reader.at + 4]
            raise _Fault(f"has {what}, which RE2 lacks: it looks neither around nor back")
        reader.at = flags.end()
        if flags[0].endswith(")"):
            return  # Flags from here on; what was before can still be repeated.
    reader.groups.append(_Group())
    if len(reader.groups) > DEPTH_MAX:
        raise _Fault(f"is nested over {DEPTH_MAX} levels; flatten it")


def _named(reader: _Reader) -> None:
    start = reader.text.index("<", reader.at) + 1
    end = reader.text.find(">", start)
    name = reader.text[start:end] if end > 0 else ""
    if not _NAME.fullmatch(name):
        what = reader.text[reader.at : start + 1]
        raise _Fault(f"has {what} without a name of letters and >; RE2 does not look behind either")
    if name in reader.names:
        raise _Fault(f"has two groups of the name {name}; rename one")
    reader.names.add(name)
    reader.at = end + 1


def _close(reader: _Reader) -> None:
    if len(reader.groups) == 1:
        raise _Fault("has a ) without its (; write \\) for the sign itself")
    inner = reader.groups.pop()
    reader.item(1)
    group = reader.groups[-1]
    group.last = inner.most
    group.most = max(group.most, inner.most)


# --- escapes and classes ---


def _escape(reader: _Reader) -> None:
    text, at = reader.text, reader.at
    after = text[at + 1 : at + 2]
    if after == "Q":
        end = text.find("\\E", at)
        quoted = text[at + 2 : end if end >= 0 else len(text)]
        reader.at = end + 2 if end >= 0 else len(text)
        if quoted:
            reader.groups[-1].last = 1
        return
    if after and after in ("AbBz" if reader.is_go else "AbBzC"):
        reader.item(2)
        return
    width = _set(reader, at) or _character(reader, at)[1]
    reader.item(width)


def _set(reader: _Reader, at: int) -> int:
    r"""The width of a \d or \p{…}, 0 where there is none."""
    after = reader.text[at + 1 : at + 2]
    if after and after in "dDsSwW":
        return 2
    if after not in ("p", "P") or not after:
        return 0
    name, width = reader.text[at + 2 : at + 3], 3
    if name == "{":
        end = reader.text.find("}", at)
        name = reader.text[at + 3 : end] if end >= 0 else ""
        width = end + 1 - at
    if not _is_property(name.removeprefix("^") if width > len("\\pL") else name, reader.is_go):
        raise _Fault(f"has \\{after} with no property of Unicode's; write it like \\p{{Greek}}")
    return width


def _is_property(name: str, is_go: bool) -> bool:
    if name in _CATEGORIES:
        return True
    plain = re.sub(r"[ _-]", "", name).lower()
    if is_go and plain in {each.lower() for each in _CATEGORIES} | _GO_NAMES:
        return True
    return (plain if is_go else name.replace("_", "").lower()) in _SCRIPTS


def _character(reader: _Reader, at: int) -> tuple[int, int]:
    """Code point and width of what stands behind a backslash."""
    text = reader.text
    letter = text[at + 1 : at + 2]
    if not letter:
        raise _Fault("ends in a backslash; write \\\\ for the sign itself")
    if octal := _OCTAL.match(text, at + 1):
        return int(octal[0], 8), 1 + len(octal[0])
    if hexa := _HEX.match(text, at + 1):
        code = int(hexa[1] or hexa[0][1:], 16)
        if code <= CODE_POINT_MAX:
            return code, 1 + len(hexa[0])
    elif letter in "afnrtv":
        return "\0\0\0\0\0\0\0atnvfr".index(letter), 2
    elif letter.isascii() and not letter.isalnum():
        return ord(letter), 2
    if letter.isdigit():
        raise _Fault(f"has \\{letter}, which looks back; RE2 cannot")
    raise _Fault(f"has \\{letter}, which RE2 lacks; leave out the backslash")


def _class(reader: _Reader) -> None:
    text, start = reader.text, reader.at
    at = start + (2 if reader.starts("[^") else 1)
    first = True
    while first or text[at : at + 1] != "]":
        first = False
        named = _CLASS_NAME.match(text, at)
        if text.startswith("[:", at) and (named or ":]" in text[at + 2 :]):
            if named is None or named[1] not in _CLASS_NAMES:
                raise _Fault("has [: with no class of letters; write it like [[:alpha:]]")
            at = named.end()
        elif text.startswith("\\", at) and (width := _set(reader, at)):
            at += width
        else:
            at = _range(reader, at)
    reader.item(at + 1 - start)


def _range(reader: _Reader, at: int) -> int:
    low, at = _member(reader, at)
    if reader.text[at : at + 1] != "-" or reader.text[at + 1 : at + 2] in ("]", ""):
        return at
    high, end = _member(reader, at + 1)
    if high < low:
        raise _Fault("has a range from the larger to the smaller; turn it round")
    return end


def _member(reader: _Reader, at: int) -> tuple[int, int]:
    letter = reader.text[at : at + 1]
    if not letter:
        raise _Fault("has a [ without its ]; add it, or write \\[ for the sign itself")
    if letter == "\\":
        code, width = _character(reader, at)
        return code, at + width
    return ord(letter), at + 1
