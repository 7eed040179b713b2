"""`reconciler status`: where the newest commit has arrived, asked from a running control plane."""

from __future__ import annotations

import json
import os
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
    parser.add_argument("--proxies", action="store_true", help="also every proxy (of a zone)")
    parser.add_argument("--watch", action="store_true", help="again every second")
    parser.add_argument("--format", choices=("text", "json"), default="text")


def add_server(parser: argparse.ArgumentParser) -> None:
    """The options that say which control plane to ask."""
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=os.environ.get("RECONCILER_STATE_DIR"),
        help="state directory of the control plane (its control socket is in it)",
    )
    parser.add_argument("--socket", type=Path, help="the control socket itself")


def server_socket(args: argparse.Namespace) -> Path | None:
    if args.socket is not None:
        return Path(args.socket)
    return Path(args.state_dir) / "control.sock" if args.state_dir is not None else None


def run(args: argparse.Namespace) -> int:
    from reconciler.api.client import ControlError, ask

    socket = server_socket(args)
    if socket is None:
        sys.stderr.write("which control plane? name its --state-dir or --socket\n")
        return 2
    while True:
        try:
            status = ask(socket, "/status?proxies=1" if args.proxies else "/status", timeout_s=10.0)
        except ControlError as error:
            sys.stderr.write(f"{error}\n")
            return 2
        _show(status, as_json=args.format == "json")
        if not args.watch:
            return 1 if status.get("problems") or _rejected(status) else 0
        time.sleep(WATCH_S)


def _rejected(status: Mapping[str, object]) -> bool:
    zones = status.get("zones")
    rows = [status] if not isinstance(zones, list) else [z for z in zones if isinstance(z, dict)]
    return any(isinstance(p := row.get("proxies"), dict) and p.get("rejected") for row in rows)


def _show(status: Mapping[str, object], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(status, indent=2, sort_keys=True) + "\n")
        return
    from rich.console import Console

    console = Console()
    console.print(
        f"{status.get('role')}: revision in force {status.get('revision') or 'none yet'}",
        highlight=False,
    )
    for key, title in (("repository_error", "repository"), ("global_error", "global")):
        if status.get(key):
            console.print(f"{title}: {status[key]}", style="yellow", markup=False)
    problems = status.get("problems")
    if isinstance(problems, list) and problems:
        console.print(f"commit {status.get('rejected')} is not in force:", style="red")
        for problem in problems:
            console.print(f"  {problem}", markup=False, highlight=False)
    zones = status.get("zones")
    rows = zones if isinstance(zones, list) else [status]
    console.print(_table([row for row in rows if isinstance(row, dict)]))
    for rejection in _rejections(rows):
        console.print(f"  {rejection}", markup=False, highlight=False)
    listed = status.get("proxy_list")
    if isinstance(listed, list):
        console.print(_proxies([row for row in listed if isinstance(row, dict)]))


def _table(rows: list[dict[str, object]]) -> Table:
    from rich.table import Table

    table = Table()
    for column in (
        "zone",
        "connected",
        "revision",
        "proxies",
        "acknowledged",
        "pending",
        "rejected",
    ):
        table.add_column(column)
    for row in rows:
        proxies = row.get("proxies")
        counts = proxies if isinstance(proxies, dict) else {}
        figures = (str(counts.get(k, "unknown")) for k in ("total", "acked", "pending", "rejected"))
        table.add_row(
            str(row.get("zone")), "yes" if row.get("connected") else "no",
            str(row.get("revision") or "unknown")[:12], *figures,
        )  # fmt: skip
    return table


def _proxies(rows: list[dict[str, object]]) -> Table:
    from rich.table import Table

    table = Table()
    for column in ("proxy", "connected", "state", "message"):
        table.add_column(column)
    for row in rows:
        table.add_row(*(str(row.get(k, "")) for k in ("proxy", "connected", "state", "message")))
    return table


def _rejections(rows: list[object]) -> list[str]:
    found = []
    for row in rows:
        listed = row.get("rejections") if isinstance(row, dict) else None
        for r in listed if isinstance(listed, list) else []:
            policies = f" ({', '.join(r['policies'])})" if r.get("policies") else ""
            found.append(f"{r['proxy']} rejected {r['type']}: {r['message']}{policies}")
    return found
