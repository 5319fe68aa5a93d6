"""What `vpar report` adds to Tables 1 and 2 where it is asked to look at single tracklets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vpar_cache.errors import CacheError, UserError
from vpar_cache.rendering.sheets import Details
from vpar_cache.reporting.comparison import compare_runs
from vpar_cache.reporting.run_details import run_details
from vpar_cache.runs.scores import RunScores

Named = tuple[RunScores, str, str]
"""A run with its name and its label, which also holds its marks (random weights)."""


def report_details(runs: Sequence[Named], details: bool, compare: bool) -> tuple[Details, ...]:
    """Details of each run, and the differences of each later run to the first.

    Raises UserError for a comparison of one run, CacheError for predictions that do not fit.
    """
    if compare and len(runs) < 2:
        named = runs[0][1] if runs else "none"
        raise UserError(f"--compare takes at least two runs, the first against each other, but there is {named}")
    found = [run_details(*run) for run in runs] if details else []
    return (*found, *(compare_runs(runs[0], run) for run in runs[1:] if compare))


def all_details(runs: Sequence[Named]) -> tuple[tuple[Details, ...], tuple[str, ...]]:
    """Details of each run and its difference to the first that it can be compared with; then, in words, what is
    left out since predictions are missing or do not fit. Nobody asked for any of it by name."""
    found, left_out = [], []
    together: dict[Any, list[Named]] = {}
    for run, name, label in runs:
        try:
            found.append(run_details(run, name, label))
            together.setdefault((run.place, run.outputs), []).append((run, name, label))
        except CacheError as error:
            left_out.append(f"no details of {name}: {error}")
    for first, *others in together.values():
        for other in others:
            try:
                found.append(compare_runs(first, other))
            except CacheError as error:
                left_out.append(f"no comparison of {other[1]} with {first[1]}: {error}")
    return tuple(found), tuple(left_out)
