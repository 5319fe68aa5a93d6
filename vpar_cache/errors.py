"""Every error that a user may meet.

    VparError            exit status 2, one line: the value, the rule, the mend
    ├── UserError        an option or an argument does not fit
    ├── DataError        a dataset, a label file, an image or a predictions file does not fit
    └── CacheError       a feature cache or a run folder is damaged, stale or of another make

Only the command line maps them to an exit status. Anything else that escapes is a bug of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class VparError(Exception):
    """Base of all errors that name a value, a rule and a mend."""


class UserError(VparError):
    """An option or an argument does not fit."""


class DataError(VparError):
    """Input data do not fit: a dataset, a label file, an image, a predictions file."""


class CacheError(VparError):
    """A feature cache or a run folder is damaged, stale or of another make."""


def printable(text: str) -> str:
    """Control, bidirectional and line-breaking characters as visible escapes, so that a name stays a name."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def nearest(value: str, valid: Iterable[str]) -> str:
    """The mend for a wrong name: the nearest valid one first, then all of them, or the ten nearest."""
    names = list(valid)
    close = difflib.get_close_matches(value, names, n=10, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    if len(names) <= 12:
        return f"{hint}valid are: {', '.join(names)}"
    return f"{hint}valid are, among {len(names)}: {', '.join(close or names[:10])}"


class Stopped(Exception):  # noqa: N818 - the caller asked for it
    """Raised when the caller's `stop` returned True. What was finished is kept."""
