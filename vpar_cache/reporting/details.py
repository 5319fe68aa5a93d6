"""What `vpar report` adds to Tables 1 and 2 where it is asked to look at single tracklets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vpar_cache.errors import CacheError, UserError
from vpar_cache.rendering.tables import Part
from vpar_cache.reporting.comparison import compare_runs
from vpar_cache.reporting.run_details import run_details
from vpar_cache.runs.scores import RunScores

Named = tuple[RunScores, str]
"""A run and what the report calls it."""


def report_details(runs: Sequence[Named], details: bool, compare: bool) -> tuple[Part, ...]:
    """Return the details of each run, and the differences of each later run to the first.

    Raises UserError for a comparison of one run, CacheError for predictions that do not fit.
    """
    if compare and len(runs) < 2:
        named = runs[0][1] if runs else "none"
        raise UserError(f"--compare: got {named}; expected at least two runs. Name the runs to compare")
    found = [run_details(*run) for run in runs] if details else []
    return (*found, *(compare_runs(runs[0], run) for run in runs[1:] if compare))


def all_details(runs: Sequence[Named], known: Sequence[Part]) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """Return the details of each run and its difference to the first run that it can be compared with.

    The second tuple says what is left out since predictions are missing or do not fit: nobody asked for any of
    it by name. Details in `known` are not made again.
    """
    made = {(part.numbers[0].source, part.numbers[0].system): part for part in known}
    found, left_out = [], []
    together: dict[Any, list[Named]] = {}
    for run, name in runs:
        try:
            found.append(made.get(("run", name)) or run_details(run, name))
            together.setdefault((run.place, run.outputs), []).append((run, name))
        except CacheError as error:
            left_out.append(f"no details of {name}: {error}")
    for first, *others in together.values():
        for other in others:
            try:
                found.append(compare_runs(first, other))
            except CacheError as error:
                left_out.append(f"no comparison of {other[1]} with {first[1]}: {error}")
    return tuple(found), tuple(left_out)
