"""An interrupt ends the block, wherever in Python it arrives."""

from __future__ import annotations

import os
import signal
import sys
import threading
import weakref

import pytest

from vpar_cache.base.interrupts import no_lost_interrupts


class Thing:
    """Something to refer to weakly."""


def interrupt_in_a_callback(number: int = signal.SIGINT) -> None:
    """Where Python drops what a handler raises."""
    thing = Thing()
    reference = weakref.ref(thing, lambda _: os.kill(os.getpid(), number))
    del thing
    assert reference() is None


def test_an_interrupt_passes_at_once_where_python_lets_it() -> None:
    with pytest.raises(KeyboardInterrupt), no_lost_interrupts():
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("it went on")


def test_a_dropped_interrupt_is_raised_at_the_next_check() -> None:
    with pytest.raises(KeyboardInterrupt), no_lost_interrupts() as check:
        interrupt_in_a_callback()
        check()
        pytest.fail("it went on")


def test_a_dropped_interrupt_is_raised_at_the_end_at_the_latest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), no_lost_interrupts():
        interrupt_in_a_callback()
    assert capsys.readouterr().err == "", "Python's report of what it dropped would look like a failure"


def test_sigterm_is_what_the_program_made_of_it() -> None:
    def terminate(number: int, frame: object) -> None:
        raise SystemExit(143)

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        with pytest.raises(SystemExit, match="143"), no_lost_interrupts() as check:
            interrupt_in_a_callback(signal.SIGTERM)
            check()
        assert signal.getsignal(signal.SIGTERM) is terminate
    finally:
        signal.signal(signal.SIGTERM, before)


def test_without_an_interrupt_nothing_happens_and_nothing_stays() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)], sys.unraisablehook
    with no_lost_interrupts() as check:
        check()
    assert ([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)], sys.unraisablehook) == before


def test_it_works_in_another_thread_where_no_handler_can_be_set() -> None:
    done = []

    def work() -> None:
        with no_lost_interrupts() as check:
            check()
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_other_errors_that_python_drops_are_still_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: reported.append(dropped.exc_value))
    thing = Thing()
    with no_lost_interrupts():
        reference = weakref.ref(thing, lambda _: [][1])
        del thing
    assert reference() is None
    assert [type(error) for error in reported] == [IndexError]
