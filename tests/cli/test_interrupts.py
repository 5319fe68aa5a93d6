"""The first signal asks work to stop, the second ends it; both give the exit status of the first."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from vpar_cli import interrupts


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in interrupts.STATUS}
    interrupts.install()
    yield
    interrupts.install()
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def test_work_that_asks_is_told_first_and_ended_by_the_second_signal() -> None:
    with interrupts.stoppable() as stop:
        assert (stop(), interrupts.exit_status()) == (False, None)
        send(signal.SIGTERM)
        assert (stop(), interrupts.exit_status()) == (True, 143)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
    assert interrupts.exit_status() == 143


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_other_work_ends_at_once(number: signal.Signals, status: int) -> None:
    with interrupts.stoppable():
        pass
    with pytest.raises(KeyboardInterrupt):
        send(number)
    assert interrupts.exit_status() == status


def test_the_last_line_says_whether_anything_is_kept() -> None:
    with interrupts.stoppable(keeps=False):
        pass
    assert "nothing was written" in interrupts.last_words()
    interrupts.install()
    assert "finished work is kept" in interrupts.last_words()
