"""Finds the name that was meant, where two names differ in what people and archives do not keep apart."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

_ENDING = re.compile(r"\.(?:jpe?g|png|webp|bmp|gif|tiff?|avif|heic|jp2|ppm)$", re.IGNORECASE)
_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")
_SEPARATORS = re.compile(r"[\s/\\_-]+")
_STEPS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("Unicode form", lambda name: unicodedata.normalize("NFC", name)),
    ("ending", lambda name: _ENDING.sub("", name)),
    ("case", str.casefold),
    ("leading zeros", lambda name: _ZEROS.sub("", name)),
    ("separators", lambda name: _SEPARATORS.sub("", name)),
)
"""What may differ between near names, and the text without that difference. Zeros come before separators, which
keep numbers apart."""


def _without(name: str, steps: Iterable[str]) -> str:
    for what, cut in _STEPS:
        if what in steps:
            name = cut(name)
    return name


def differences(name: str, other: str) -> list[str]:
    """Return in what two near names differ, as in ["case", "leading zeros"]: no more than it takes."""
    needed = [what for what, _ in _STEPS]
    for what in tuple(needed):
        fewer = [step for step in needed if step != what]
        if _without(name, fewer) == _without(other, fewer):
            needed = fewer
    return needed


def _plain(name: str) -> str:
    """Return the name without all that near names may differ in."""
    return _without(name, [what for what, _ in _STEPS])


class NameIndex:
    """Names, to be found by their plain form."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names: dict[str, str] = {}
        for name in sorted(names):
            self._names.setdefault(_plain(name), name)

    def near(self, name: str) -> str | None:
        """Return the first name of the same plain form; None where there is none."""
        return self._names.get(_plain(name))


def near_hint(name: str, near: str | None, where: str) -> str:
    """Return the end of a message about a missing name; empty without a near one that differs."""
    if near is None or near == name:
        return ""
    return f"; {where} {near!r}, which differs in {' and '.join(differences(name, near))}: rename one of them"
