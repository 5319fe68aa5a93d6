"""Without a terminal a plain line now and then says how far the work is."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tqdm import tqdm

from vpar_cache.base import progress as module
from vpar_cache.base.progress import progress


def in_place_of_stderr(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Not a fixture: pytest puts its own stream there between a fixture and its test."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    return stream


def test_lines_say_how_much_is_done_how_fast_and_how_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = in_place_of_stderr(monkeypatch)
    monkeypatch.setattr(module, "SECONDS", 0.02)
    started = time.monotonic()
    with progress(total=40, unit="tracklet", desc="extract") as bar:
        bar.reset()
        for _ in range(20):
            time.sleep(0.005)
            bar.update(2)
            bar.refresh()  # as setting the loss does: no reason for a line
            tqdm.write("a note", file=stderr)
    lines = [line for line in stderr.getvalue().splitlines() if line != "a note"]
    most = (time.monotonic() - started) / 0.02  # a line in so many seconds; a busy machine takes more of them
    assert 2 <= len(lines) <= most + 1
    pattern = r"extract: \d+ of 40 tracklets, +[\d.]+ ?(tracklet/s|s/tracklet), (\d\d:\d\d|\?) left"
    assert all(re.fullmatch(pattern, line) for line in lines), lines
    assert stderr.getvalue().count("a note") == 20
    assert "\r" not in stderr.getvalue()


def test_work_of_less_than_a_minute_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = in_place_of_stderr(monkeypatch)
    assert list(progress(range(5), unit="epoch", desc="train", initial=0, total=5)) == list(range(5))
    assert stderr.getvalue() == ""


def test_what_is_beside_the_numbers_is_in_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = in_place_of_stderr(monkeypatch)
    monkeypatch.setattr(module, "SECONDS", 0.0)
    with progress(range(3), unit="epoch", desc="train") as bar:
        for _ in bar:
            bar.set_postfix({"loss": "0.5"})
    assert "loss=0.5" in stderr.getvalue()


def test_a_full_stderr_does_not_end_the_work() -> None:
    code = (
        "from vpar_cache.base import progress\nprogress.SECONDS = 0.0\n"
        "print(sum(progress.progress(range(3), desc='x')))"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=full)
    assert (done.returncode, done.stdout) == (0, b"3\n")


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    for _ in progress(range(3), desc="train"):
        pass
    assert "train: 100%" in stream.getvalue()
