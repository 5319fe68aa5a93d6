"""One line of the doctor, and how a failure of a library becomes one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from vpar_cache.errors import VparError

State = Literal["ok", "warning", "fails"]
STATES: tuple[State, ...] = ("ok", "warning", "fails")
"""From good to bad."""
LIBRARY_FAILURES = (ImportError, OSError, RuntimeError, AttributeError, ValueError, TypeError)
"""What importing or calling a library raises where its parts do not fit together."""


@dataclass(frozen=True)
class Check:
    """What was looked at and found."""

    name: str
    state: State
    """ok; warning: the work runs, but read the text; fails: it would not run."""
    text: str
    """What was found and, unless it is ok, what to do."""


Found = TypeVar("Found")


def guarded(name: str, look: Callable[[], Found]) -> Found | Check:
    """Return what `look` returns; where it raises an error for users, or a library fails, a check that fails."""
    try:
        return look()
    except VparError as error:
        return Check(name, "fails", str(error))
    except LIBRARY_FAILURES as error:
        return Check(name, "fails", in_one_line(error))


def in_one_line(error: BaseException) -> str:
    """Return the type of an error and its first line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300] if lines else ''}"
