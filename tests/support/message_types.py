"""Which of Envoy's message types the product makes: found in its source, none is forgotten."""

from __future__ import annotations

import ast
import importlib
from functools import cache
from pathlib import Path

import betterproto2

ROOT = Path(__file__).parents[2]
LIBRARY = "envoy_data_plane"


@cache
def imported_messages() -> frozenset[type[betterproto2.Message]]:
    """Those that modules of `xds` and `reconciler` import, wherever in a module."""
    found: set[type[betterproto2.Message]] = set()
    for source in (*ROOT.glob("xds/**/*.py"), *ROOT.glob("reconciler/**/*.py")):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(LIBRARY):
                module = importlib.import_module(node.module or "")
                each = (getattr(module, alias.name) for alias in node.names)
                found |= {
                    e for e in each if isinstance(e, type) and issubclass(e, betterproto2.Message)
                }
    return frozenset(found)
