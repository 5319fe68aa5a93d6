"""All errors for users.

    VparError            exit status 2, one line: the value, the rule, how to fix it
    ├── UserError        an invalid option or argument
    ├── DataError        an invalid dataset, label file, image or predictions file
    └── CacheError       a feature cache or a run folder that is damaged, stale or of another version
        └── DamagedError a file of a feature cache whose contents are not those that were written
    Stopped              the caller asked for it: exit status 130 or 143

Only the command line maps them to an exit status. Any other exception is a bug.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable


class VparError(Exception):
    """Base of all errors that say what is wrong and how to fix it."""


class UserError(VparError):
    """An option or an argument is invalid."""


class DataError(VparError):
    """Input data are invalid: a dataset, a label file, an image, a predictions file."""


class CacheError(VparError):
    """A feature cache or a run folder is damaged, stale or of another version."""


class BeingWrittenError(CacheError):
    """Another process writes it now."""


class DamagedError(CacheError):
    """A file of a feature cache was read, and its contents are not those that were written.

    Never raised for a file that cannot be read now (permission, lock, I/O error): that one may be intact.
    """


Report = Callable[[DataError], None]
"""Takes what is wrong with one of many rows. Where it returns, the others are still read."""


def refuse(error: DataError) -> None:
    """Raise the first error: the Report of all that needs sound input."""
    raise error


def printable(text: str) -> str:
    """Return `text` on one line: control, bidirectional and line-breaking characters become visible escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def count_of(count: int, noun: str) -> str:
    """Return a number and its noun: 1 shard, 2 shards."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def nearest(value: str, valid: Iterable[str]) -> str:
    """Return the end of an error about a wrong name: the nearest valid name, then all, or the ten nearest."""
    names = list(valid)
    close = difflib.get_close_matches(value, names, n=10, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    if len(names) <= 12:
        return f"{hint}valid are: {', '.join(names)}"
    return f"{hint}valid are, among {len(names)}: {', '.join(close or names[:10])}"


def counted(count: int, one: str, many: str) -> str:
    """Return a number with what is said of one, or of any other number: 1 person is, 2 people are."""
    return f"{count} {one if count == 1 else many}"


class Stopped(Exception):  # noqa: N818 - not an error
    """Raised when the caller's `stop` returned True. What was finished is kept."""
