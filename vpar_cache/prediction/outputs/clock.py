"""Times in a video, as people read them."""

from __future__ import annotations


def clock(seconds: float) -> str:
    """Return minutes and seconds, 1:05.2; from an hour on 1:00:05."""
    tenths = round(10 * seconds)
    if tenths < 36_000:
        return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"
    whole = tenths // 10
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def time_span(first: float | None, last: float | None) -> str:
    """Return from when to when; empty for a picture."""
    return "" if first is None or last is None else f"{clock(first)} - {clock(last)}"
