"""metrics.json["intervals"] of a run, checked: what intervals.interval_block wrote, without importing scipy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from reprlib import repr as short_repr
from typing import Any

from vpar_cache.errors import DataError

Interval = tuple[float, float]
_METRICS = {"vtf": ("precision", "recall", "f1"), "videopar": ("f1", "accuracy")}
_MEND = "train it again"


@dataclass(frozen=True)
class Intervals:
    """95 % intervals of a run's test scores; empty where one person left nothing to resample."""

    method: str
    people: int
    resamples: int
    average: Mapping[str, Mapping[str, Interval]]
    """By protocol and metric."""
    groups: Mapping[str, Mapping[str, Mapping[str, Interval]]]
    """By protocol, group and metric (f1)."""

    def of(self, protocol: str, group: str | None, metric: str) -> Interval | None:
        """`group` None: the average over groups."""
        if group is None:
            return self.average.get(protocol, {}).get(metric)
        return self.groups.get(protocol, {}).get(group, {}).get(metric)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, intervals in percent by protocol; None for one person."""
        shown: dict[str, Any] = {"method": self.method, "people": self.people, "resamples": self.resamples}
        for protocol in _METRICS:
            groups = {name: _percents(metrics) for name, metrics in self.groups.get(protocol, {}).items()}
            average = _percents(self.average.get(protocol, {}))
            shown[protocol] = {"average": average, "groups": groups} if groups else None
        return shown


def read_intervals(block: Any, groups: Sequence[str]) -> Intervals | None:
    """None stands for a run from before there were any. Raises DataError for what is no block of these groups."""
    if block is None:
        return None
    if not isinstance(block, dict):
        raise DataError(f"it is {short_repr(block)}, but must be an object; {_MEND}")
    average, of_groups = {}, {}
    for protocol, metrics in _METRICS.items():
        scores = block.get(protocol)
        if scores is None and block.get("people") == 1:
            continue
        if not isinstance(scores, dict) or not all(isinstance(scores.get(k), dict) for k in ("average", "groups")):
            raise DataError(f"{protocol} is {short_repr(scores)}, but must hold average and groups; {_MEND}")
        if list(scores["groups"]) != list(groups):
            found = short_repr(list(scores["groups"]))
            raise DataError(f"{protocol}: groups {found} are not the schema's {', '.join(groups)}; {_MEND}")
        average[protocol] = {m: _interval(scores["average"], m, f"{protocol} average") for m in metrics}
        of_groups[protocol] = {
            name: {"f1": _interval(scores["groups"][name], "f1", f"{protocol} {name}")} for name in groups
        }
    people, resamples = (_count(block, key) for key in ("people", "resamples"))
    if average and people < 2:
        raise DataError(f"'people' is {people}, but intervals take at least two to resample; {_MEND}")
    return Intervals(str(block.get("method")), people, resamples, average, of_groups)


def _percents(metrics: Mapping[str, Interval]) -> dict[str, list[float]]:
    return {metric: [round(100 * end, 2) for end in interval] for metric, interval in metrics.items()}


def _count(block: Mapping[str, Any], key: str) -> int:
    value = block.get(key)
    if type(value) is not int or value < 1:
        raise DataError(f"{key!r} is {short_repr(value)}, but must be a whole number from 1; {_MEND}")
    return value


def _interval(scores: Any, metric: str, where: str) -> Interval:
    pair = scores.get(metric) if isinstance(scores, dict) else None
    if isinstance(pair, list) and len(pair) == 2 and all(type(end) in (int, float) for end in pair):
        low, high = pair
        if 0 <= low <= high <= 1:  # false for NaN
            return float(low), float(high)
    raise DataError(f"{where} {metric} is {short_repr(pair)}, but must be [low, high] from 0 to 1; {_MEND}")
