"""What C's allocator keeps of what was freed."""

from __future__ import annotations

import subprocess
import sys

BLOCKS, THREADS = 40, 3  # of 1 MB, for each
MEASURED = """
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

def filled(size):
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    return block
"""
# Blocks with something small between them, in several threads, all freed but what is small; then
# the megabytes that the process has more than before, and C's word on its heaps.
PROGRAM = f"""
import ctypes, sys, threading
from reconciler.cli.running import run_until_signal

async def nothing(stop):
    pass

if "settled" in sys.argv:
    run_until_signal(nothing)
{MEASURED}
def work():
    libc.free(filled(2 * 2**20))
    blocks = []
    for _ in range({BLOCKS}):
        blocks.append(filled(2**20))
        filled(2000)
    for block in blocks:
        libc.free(block)

before = resident()
threads = [threading.Thread(target=work) for _ in range({THREADS})]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(resident() - before)
libc.malloc_stats()
"""
# Blocks out of the heap, with something small between them: what is kept of them when they are
# free, and when that is given back, and once more where C's library does not know how.
HOLES = f"""
import ctypes
from reconciler.runtime import allocator

allocator.keep_little()
{MEASURED}
before, blocks = resident(), []
for _ in range(16 * {BLOCKS}):
    blocks.append(filled(2**16))
    filled(2000)
for block in blocks:
    libc.free(block)
print(resident() - before)
allocator.give_back()
print(resident() - before)
allocator.ctypes.CDLL = lambda name: None
allocator._function.cache_clear()
allocator.give_back()
"""


def kept(*arguments: str) -> tuple[float, int]:
    """Megabytes, and how many heaps there are."""
    command = (sys.executable, "-c", PROGRAM, *arguments)
    ended = subprocess.run(command, capture_output=True, check=True, text=True)
    return float(ended.stdout), ended.stderr.count("Arena ")


def test_what_large_messages_took_is_given_back_to_one_heap() -> None:
    (settled_mb, settled), (usual_mb, usual) = kept("settled"), kept()
    assert settled_mb < 10 < BLOCKS < usual_mb
    assert (settled, usual > settled) == (1, True)


def test_what_is_free_between_what_is_not_is_given_back() -> None:
    ended = subprocess.run(
        (sys.executable, "-c", HOLES), capture_output=True, check=True, text=True
    )
    free_mb, left_mb = map(float, ended.stdout.split())
    assert left_mb < 10 < BLOCKS - 5 < free_mb
