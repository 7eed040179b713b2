"""Where the value of an option comes from: the command line, else its environment variable, else
the configuration file, else its default.

One rule for all commands: `--state-dir` of `reconciler zone` is `RECONCILER_STATE_DIR`, and the key
`state-dir` in the table `[zone]` of the file. `main` applies it; a command declares its options
only.
"""

from __future__ import annotations

import argparse
import math
import re
import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

VARIABLE = "RECONCILER_"
CONFIG = "config"
PORT_MAX = 65535
YES_NO = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


class OptionError(Exception):
    """A value from the environment or the file cannot be used; the text says where it stands."""


class _Replaced(list[object]):
    """Values of an option that may be repeated. The command line takes their place as for any other
    option: argparse would add to a copy of them, and a token might open more than was asked for.
    """

    def __copy__(self) -> list[object]:
        return []


def variable(key: str) -> str:
    return VARIABLE + key.upper().replace("-", "_")


def describe(parser: argparse.ArgumentParser) -> None:
    """Give every command `--config`, and the help of every option its environment variable.

    An option has one name: `supply` looks for `--config` alone, and what `--conf` named would be
    passed over in silence.
    """
    parser.allow_abbrev = False
    kinds = _kinds(parser)
    for kind in kinds.values():
        describe(kind)
    if kinds:
        return
    parser.add_argument(
        f"--{CONFIG}", type=Path, metavar="FILE", help="TOML file with any of these options"
    )
    for key, action in _options(parser):
        action.help = f"{action.help or ''} [{variable(key)}]".strip()


def supply(
    parser: argparse.ArgumentParser, name: str, arguments: Sequence[str], given: Mapping[str, str]
) -> None:
    """Take the defaults of command `name` from the environment `given` and the file that
    `--config` names. Raises OptionError.
    """
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, prog=parser.prog)
    early.add_argument(f"--{CONFIG}", default=given.get(variable(CONFIG)) or None)
    path = early.parse_known_args(arguments)[0].config
    table = {} if path is None else _read(Path(path))
    _apply(parser, _table(table.get(name, {}), f"{path}: [{name}]"), f"{path}: [{name}]", given)


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise OptionError(f"{path}: {error.strerror}; correct --{CONFIG}") from error
    except ValueError as error:
        raise OptionError(f"{path}: is no TOML: {error}") from error


def _table(value: object, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise OptionError(f"{where} must be a table of options")
    return value


def _apply(
    parser: argparse.ArgumentParser,
    table: Mapping[str, object],
    where: str,
    given: Mapping[str, str],
) -> None:
    kinds = _kinds(parser)
    for name, kind in kinds.items():
        at = f"{where[:-1]}.{name}]"
        _apply(kind, _table(table.get(name, {}), at), at, given)
    options = dict(_options(parser))
    options.pop(CONFIG, None)
    unknown = [key for key in table if key not in options and key not in kinds]
    if unknown:
        known = ", ".join([*options, *kinds])
        raise OptionError(f'{where}: "{unknown[0]}" is not one of its options: {known}')
    for key, action in options.items():
        text = given.get(variable(key))
        if text:
            action.default = _converted(action, text, variable(key))
        elif key in table:
            action.default = _converted(action, table[key], f"{where} {key}")
        else:
            continue
        action.required = False


def _converted(action: argparse.Action, value: object, where: str) -> object:
    """As the command line would have it."""
    if action.nargs == 0:
        truth = YES_NO.get(str(value).lower())
        if truth is None:
            raise OptionError(f"{where}: {value} is neither true nor false")
        return truth
    if isinstance(action, argparse._AppendAction):
        items = value if isinstance(value, list) else str(value).split()
        return _Replaced(_one(action, item, where) for item in items)
    return _one(action, value, where)


def _one(action: argparse.Action, value: object, where: str) -> object:
    if isinstance(value, bool | list | dict):
        raise OptionError(f"{where}: must be one text or number")
    convert = action.type if callable(action.type) else str
    try:
        found: object = convert(str(value))
    except (argparse.ArgumentTypeError, TypeError, ValueError) as error:
        raise OptionError(f"{where}: {error}") from error
    if action.choices is not None and found not in action.choices:
        raise OptionError(f"{where}: {value} is not one of {', '.join(map(str, action.choices))}")
    return found


def _options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    """Key and action of every option that has a value of its own; not of `--help`."""
    for action in parser._actions:
        long = [text for text in action.option_strings if text.startswith("--")]
        if long and action.default is not argparse.SUPPRESS:
            yield long[0].removeprefix("--"), action


def _kinds(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """The commands below a command, such as those of `token`."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found: Mapping[str, argparse.ArgumentParser] = action.choices
            return found
    return {}


# --- types of values ---


def port(text: str) -> int:
    """A TCP port; 0 takes a free one. Beyond 65535 a server would listen on another one."""
    if not (text.isascii() and text.isdigit()) or int(text) > PORT_MAX:
        raise argparse.ArgumentTypeError(f'"{text}" is not a port, 0 to {PORT_MAX}')
    return int(text)


def ip(text: str) -> str:
    """An address, as it is written best. Raises what the parser prints as words."""
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def port_or_off(text: str) -> int | None:
    return None if text == "off" else port(text)


def interval_s(text: str) -> float:
    """Seconds between two looks: never nothing, or the process would do nothing else."""
    found = _number(text)
    if found <= 0:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of seconds above 0')
    return found


def delay_s(text: str) -> float:
    """Seconds, and 0 for at once."""
    found = _number(text)
    if found < 0:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of seconds')
    return found


def _number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    return found if math.isfinite(found) else -1.0


def count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f'"{text}" is not a number, 0 or more')
    return int(text)


def env_prefix(text: str) -> str:
    """Of variables that a repository may name: short ones would open the whole environment."""
    if re.fullmatch(r"[A-Z][A-Z0-9_]{2,}_", text) is None:
        raise argparse.ArgumentTypeError(
            f'"{text}" is not a prefix such as RECONCILER_SECRET_: A-Z, 0-9, "_", at least four, '
            'the last one "_"'
        )
    return text


def ref_prefix(text: str) -> str:
    if not (text.startswith("refs/") and text.endswith("/")):
        raise argparse.ArgumentTypeError(
            f'"{text}" is not the beginning of refs, such as refs/heads/status/'
        )
    return text
