"""Ports for processes that start a moment later: nobody else takes them meanwhile."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest

from reconciler.demo.ports import BLOCK, PORTS, free_ports

ANOTHER = "from reconciler.demo.ports import free_ports as f; print(*f({0})); input()"


def test_a_port_is_handed_out_again_only_after_all_others() -> None:
    """A test asks for some of its ports when others are not bound yet."""
    asked = [port for _ in range(8) for port in free_ports(40)]
    assert len(set(asked)) == len(asked)


def test_two_processes_look_in_different_places() -> None:
    ours = set(free_ports(40))
    with subprocess.Popen(
        [sys.executable, "-c", ANOTHER.format(40)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        theirs = {int(port) for port in other.stdout.readline().split()}
        other.communicate(b"\n")
    blocks = [{(port - min(PORTS)) // BLOCK for port in some} for some in (ours, theirs)]
    assert len(theirs) == 40
    assert not blocks[0] & blocks[1]


def test_no_port_is_one_that_the_kernel_gives_to_connections() -> None:
    assert all(port < 32_768 for port in free_ports(40))


def test_a_port_that_somebody_listens_on_is_not_handed_out() -> None:
    with ExitStack() as stack:
        listening = {
            stack.enter_context(socket.create_server(("127.0.0.1", port))).getsockname()[1]
            for port in free_ports(20)
        }
        assert listening.isdisjoint(free_ports(BLOCK - 100))


def test_more_than_there_are_is_an_error_that_says_where() -> None:
    with pytest.raises(OSError, match=f"not {BLOCK + 1} of {BLOCK} ports of 127.0.0.1 from 20000"):
        free_ports(BLOCK + 1)
