"""The memory of an index grows by little more than its bytes. benchmarks/large_index.py has ten million rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROWS, ROWS_PER_SHARD = 200_000, 4_096
MOST_BYTES = 400
"""A row. Of ten million rows each takes 190; here the costs that do not grow count too. As Python strings: 510."""
STEPS = """
import re, sys
from pathlib import Path
sys.path.insert(0, "benchmarks")
import large_index

def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before, index, rows = peak(), Path(sys.argv[1]), int(sys.argv[2])
if sys.argv[3] in large_index.STEPS:
    large_index.STEPS[sys.argv[3]](index, rows)
else:
    large_index.write_all_shards(index, rows, int(sys.argv[3]))
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
@pytest.mark.slow
def test_an_index_takes_little_more_memory_than_its_bytes(tmp_path: Path) -> None:
    used = {}
    for step in (str(ROWS_PER_SHARD), "write the index", "open"):
        command = [sys.executable, "-c", STEPS, str(tmp_path / "large.h5"), str(ROWS), step]
        used[step] = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert max(used["write the index"], used["open"]) < MOST_BYTES * ROWS, used
