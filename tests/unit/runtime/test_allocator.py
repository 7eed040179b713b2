"""What C's allocator keeps of what was freed."""

from __future__ import annotations

import subprocess
import sys

BLOCKS = 40  # of 1 MB
# Blocks with something small between them, in several threads, all freed but what is small; then
# the megabytes that the process has more than before.
PROGRAM = f"""
import ctypes, sys, threading
from reconciler.runtime.allocator import keep_little

if "settled" in sys.argv:
    keep_little()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

def filled(size):
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    return block

def work():
    libc.free(filled(2 * 2**20))
    blocks = []
    for _ in range({BLOCKS}):
        blocks.append(filled(2**20))
        filled(64)
    for block in blocks:
        libc.free(block)

before = resident()
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(resident() - before)
"""


def kept_mb(*arguments: str) -> float:
    command = (sys.executable, "-c", PROGRAM, *arguments)
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def test_what_large_messages_took_is_given_back() -> None:
    assert kept_mb("settled") < 10 < BLOCKS < kept_mb()
