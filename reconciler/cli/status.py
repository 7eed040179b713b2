"""`reconciler status`: where the newest commit has arrived, asked from a running control plane."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from rich.table import Table

EXAMPLE = "example: reconciler status --state-dir /var/lib/mesh-reconciler/global --proxies"
WATCH_S = 1.0


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "status", help="where the newest commit has arrived", epilog=EXAMPLE
    )
    add_server(parser)
    parser.add_argument(
        "--proxies",
        action="store_true",
        help="also every proxy (of a zone), or all that zones report (of the global)",
    )
    parser.add_argument("--watch", action="store_true", help="again every second, until Ctrl-C")
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="for people, or for programs"
    )


def add_server(parser: argparse.ArgumentParser) -> None:
    """The options that say which control plane to ask."""
    parser.add_argument(
        "--state-dir",
        type=Path,
        help="state directory of the control plane (its control socket is in it)",
    )
    parser.add_argument("--socket", type=Path, help="the control socket itself")


def server_socket(args: argparse.Namespace) -> Path:
    """Raises ControlError when neither option is given."""
    from reconciler.api.client import ControlError

    if args.socket is not None:
        return Path(args.socket)
    if args.state_dir is None:
        raise ControlError("which control plane? name its --state-dir or --socket")
    return Path(args.state_dir) / "control.sock"


def commit_id(args: argparse.Namespace) -> str:
    """Raises ControlError for what is none; a server would take it for a commit nobody knows."""
    from reconciler.api.client import ControlError

    commit = str(args.commit).lower()
    if re.fullmatch(r"[0-9a-f]{7,40}", commit) is None:
        raise ControlError(f'"{args.commit}" is not a commit id; use git rev-parse')
    return commit


def run(args: argparse.Namespace) -> int:
    from reconciler.api.client import ControlError, ask

    path = "/status?proxies=1" if args.proxies else "/status"
    seen = False
    while True:
        try:
            status = ask(server_socket(args), path, timeout_s=10.0)
        except ControlError as error:
            sys.stderr.write(f"{error}\n")
            if not (args.watch and seen):
                return 2
        else:
            seen = True
            _show(status, args)
            if not args.watch:
                return 1 if _is_bad(status) else 0
        time.sleep(WATCH_S)


def _is_bad(status: Mapping[str, object]) -> bool:
    """A commit with problems or one that is held, or something that a proxy or a zone rejected."""
    return bool(status.get("problems") or status.get("held")) or any(
        row.get("nacks") or row.get("too_large") or _counts(row).get("rejected")
        for row in _rows(status)
    )


def _rows(status: Mapping[str, object]) -> list[Mapping[str, object]]:
    """One a zone: of the global all that it knows, of a zone itself."""
    zones = status.get("zones")
    return [row for row in zones if isinstance(row, dict)] if isinstance(zones, list) else [status]


def _counts(row: Mapping[str, object]) -> Mapping[str, object]:
    proxies = row.get("proxies")
    return proxies if isinstance(proxies, dict) else {}


def _show(status: Mapping[str, object], args: argparse.Namespace) -> None:
    if args.format == "json":
        indent = None if args.watch else 2  # Watched: a line each time.
        sys.stdout.write(json.dumps(status, indent=indent, sort_keys=True) + "\n")
        sys.stdout.flush()
        return
    from rich.console import Console

    console = Console()
    if args.watch:
        console.clear()  # Does nothing where there is no terminal.
    console.print(f"{status.get('role')}: {_in_force(status)}", highlight=False)
    for line in _complaints(status):
        console.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)
    console.print(_table(_rows(status)))
    for line in _rejections(_rows(status)):
        console.print(f"  {line}", style="red", markup=False, highlight=False, soft_wrap=True)
    listed = status.get("proxy_list")
    if isinstance(listed, list):
        console.print(_proxies([row for row in listed if isinstance(row, dict)]))
    for line in _strings(status.get("inventory")):
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)


def _in_force(status: Mapping[str, object]) -> str:
    if status.get("without_commits"):
        return "policies in force as they came, from a global without commits (Kuma)"
    return f"revision in force {status.get('revision') or 'none yet'}"


def _complaints(status: Mapping[str, object]) -> list[str]:
    """What needs somebody's eye, in words; nothing when all is well."""
    found = [
        f"{title}: {status[key]}"
        for key, title in (
            ("repository_error", "repository"),
            ("global_error", "global"),
            ("status_error", "status commits"),
            ("store_error", "disk"),
        )
        if status.get(key)
    ]
    held = status.get("held")
    if isinstance(held, dict):
        found.append(str(held.get("message")))
    problems = _strings(status.get("problems"))
    if problems:
        found.append(f"commit {status.get('rejected')} is not in force:")
        found += [f"  {problem}" for problem in problems]
    found += [f"warning: {text}" for text in _strings(status.get("warnings"))]
    for key in ("refused", "refused_resources"):
        refused = status.get(key)
        for what, reason in sorted(refused.items()) if isinstance(refused, dict) else ():
            found.append(f"refused {what}: {reason}")
    return found


def _strings(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _table(rows: list[Mapping[str, object]]) -> Table:
    from rich.table import Table

    table = Table()
    for column in ("zone", "connected", "revision", "proxies", "acked", "pending", "rejected"):
        table.add_column(column, no_wrap=column != "zone")
    for row in rows:
        counts = _counts(row)
        figures = (str(counts.get(k, "unknown")) for k in ("total", "acked", "pending", "rejected"))
        table.add_row(
            str(row.get("zone")), _yes_no(row.get("connected")),
            "none" if row.get("without_commits") else str(row.get("revision") or "unknown")[:12],
            *figures,
        )  # fmt: skip
    return table


def _yes_no(value: object) -> str:
    return "yes" if value else "no"


def _proxies(rows: list[dict[str, object]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for column in ("proxy", "connected", "state", "message"):
        table.add_column(column)
    for row in sorted(rows, key=lambda row: str(row.get("proxy"))):
        words = (str(row.get(key, "")) for key in ("state", "message"))
        table.add_row(Text(str(row.get("proxy"))), _yes_no(row.get("connected")), *map(Text, words))
    return table


def _rejections(rows: list[Mapping[str, object]]) -> list[str]:
    """Of proxies with the policy that caused it, then of whole zones."""
    found = []
    for row in rows:
        listed = row.get("rejections")
        for r in listed if isinstance(listed, list) else []:
            policies = f" ({', '.join(r['policies'])})" if r.get("policies") else ""
            found.append(f"{r['proxy']} rejected {r['type']}: {r['message']}{policies}")
        nacks = row.get("nacks")
        for type_, message in sorted(nacks.items()) if isinstance(nacks, dict) else ():
            found.append(f"zone {row.get('zone')} rejected {type_}: {message}")
        too_large = row.get("too_large")
        if isinstance(too_large, list) and too_large:
            found.append(f"{', '.join(too_large)}: more than the global can read; not sent")
        for type_, size in sorted(too_large.items()) if isinstance(too_large, dict) else ():
            text = f"{type_} is not sent: {size} bytes are more than the zone can read"
            found.append(f"zone {row.get('zone')}: {text}")
        refused = row.get("refused_by_type")
        for type_, names in sorted(refused.items()) if isinstance(refused, dict) else ():
            for name, why in sorted(names.items()):
                found.append(f"{type_} {name} of zone {row.get('zone')} is refused: {why}")
    return found
