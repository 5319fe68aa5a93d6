"""One writer at a time; a dead one holds nobody up."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from vpar_cache.base.lock import find_writer, sole_writer
from vpar_cache.errors import CacheError

HOLD = """
import sys, time
from pathlib import Path
from vpar_cache.base.lock import sole_writer
with sole_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
COUNT = """
import sys
from pathlib import Path
from vpar_cache.errors import CacheError
from vpar_cache.base.lock import sole_writer
path, done = Path(sys.argv[1]), 0
while done < 100:
    try:
        with sole_writer(path):
            path.write_text(str(int(path.read_text()) + 1))
            done += 1
    except CacheError:
        pass
"""


def held_by_a_process(path: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def kill(holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.communicate()


def test_a_second_writer_is_told_who_is_at_it_and_how_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "mars.h5"
    holder = held_by_a_process(path)
    try:
        with pytest.raises(CacheError) as refused, sole_writer(path):
            pass
    finally:
        kill(holder)
    message = str(refused.value)
    assert message.startswith(f"{path} is being written by process {holder.pid} on host {socket.gethostname()}")
    assert "run the same command again" in message
    assert str(tmp_path / ".mars.h5.lock") in message
    assert "\n" not in message


def test_a_lock_left_by_a_dead_process_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / "mars.h5"
    kill(held_by_a_process(path))
    assert (tmp_path / ".mars.h5.lock").read_text()
    with sole_writer(path):
        assert f"process {os.getpid()} " in (tmp_path / ".mars.h5.lock").read_text()


def test_nothing_is_left_behind_after_success_or_failure(tmp_path: Path) -> None:
    with sole_writer(tmp_path / "cache" / "mars.h5"):
        pass
    with pytest.raises(ZeroDivisionError), sole_writer(tmp_path / "cache" / "mars.h5"):
        raise ZeroDivisionError
    assert not list((tmp_path / "cache").iterdir())


def test_two_outputs_in_one_folder_do_not_meet(tmp_path: Path) -> None:
    with sole_writer(tmp_path / "mars.h5"), sole_writer(tmp_path / "duke.h5"):
        pass


def test_never_are_two_inside_though_the_file_comes_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "count"
    path.write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", COUNT, str(path)]) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert path.read_text() == "400"


def test_a_lock_file_that_another_took_over_is_left_to_them(tmp_path: Path) -> None:
    lock = tmp_path / ".mars.h5.lock"
    with sole_writer(tmp_path / "mars.h5"):
        lock.unlink()  # what the message allows when a host is down for good
        lock.write_text("of another")
    assert lock.read_text() == "of another"


def test_a_file_system_without_locks_is_said_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    said: list[str] = []
    with sole_writer(tmp_path / "mars.h5", said.append):
        pass
    assert len(said) == 1
    assert "has no locks" in said[0]


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / ".mars.h5.lock").symlink_to(tmp_path / "thesis.tex")
    with pytest.raises(CacheError, match=r"\.mars\.h5\.lock: "), sole_writer(tmp_path / "mars.h5"):
        pass
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_what_stands_in_a_strangers_lock_stays_on_one_line(tmp_path: Path) -> None:
    lock = tmp_path / ".mars.h5.lock"
    lock.write_bytes(b"x\x1b[2J\nerror: \xff" + b"y" * 1000)
    with lock.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(CacheError) as refused, sole_writer(tmp_path / "mars.h5"):
            pass
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 1000


def test_who_writes_is_known_while_it_writes_and_asking_disturbs_nobody(tmp_path: Path) -> None:
    path = tmp_path / "mars.h5"
    assert find_writer(path) is None
    holder = held_by_a_process(path)
    try:
        for _ in range(3):
            assert str(find_writer(path)).startswith(f"process {holder.pid} on host {socket.gethostname()} since ")
    finally:
        kill(holder)
    assert find_writer(path) is None, "the lock of a dead process"
    with sole_writer(path):
        pass
