"""Some tracklets of an open cache. Features are read when they are asked for, not before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from vpar_cache.cache.format import SPLITS
from vpar_cache.cache.index import count_splits
from vpar_cache.cache.rows import Rows, row_numbers
from vpar_cache.errors import UserError, count_of, nearest

if TYPE_CHECKING:
    from vpar_cache.cache.features import Features
    from vpar_cache.cache.torch_dataset import TokenDataset

Several = Rows | Sequence[str]
"""A slice, numbers, a boolean mask, or ids of tracklets."""


@dataclass(frozen=True, eq=False)
class FeatureRow:
    """One tracklet."""

    tracklet_id: str
    split: str
    person_id: int
    camera_id: int
    labels: NDArray[np.uint8]
    """(A,); 0 where unknown"""
    known: NDArray[np.bool_]
    """(A,): which labels are known."""
    visual: NDArray[np.float16] = field(repr=False)
    """(tokens, D)"""


class Selection:
    """n tracklets of a cache, in the order in which they were chosen."""

    def __init__(self, features: Features, rows: NDArray[np.int64]) -> None:
        self.features = features
        self.rows = rows
        """(n,) their row numbers in the cache"""

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        parts = [f"{count} {split}" for split, count in count_splits(self.splits).items()]
        parts += ["RANDOM WEIGHTS"] if self.features.random_weights else []
        return f"Selection({count_of(len(self), 'tracklet')} of {self.features.dataset}: {', '.join(parts)})"

    @overload
    def __getitem__(self, rows: int | str) -> FeatureRow: ...  # type: ignore[overload-overlap]  # str is a list of str
    @overload
    def __getitem__(self, rows: Several) -> Selection: ...
    def __getitem__(self, rows: int | str | Several) -> FeatureRow | Selection:
        if isinstance(rows, str):
            return self._row(self._numbers([rows])[0])
        if isinstance(rows, int | np.integer):
            return self._row(self._numbers([int(rows)])[0])
        return self.select(rows)

    def select(self, rows: Several) -> Selection:
        """Return those of these tracklets that a slice, a boolean mask, a list of numbers or of ids chooses."""
        return Selection(self.features, self.rows[self._numbers(rows)])

    def split(self, name: str) -> Selection:
        """Return those of these tracklets that belong to `train`, `validation` or `test`."""
        if name not in SPLITS:
            raise UserError(f"split: got {name!r}; expected one of {', '.join(SPLITS)}")
        return self.select(self.splits == name)

    @property
    def tracklet_ids(self) -> tuple[str, ...]:
        return tuple(self.features.tracklet_ids[row] for row in self.rows)

    @property
    def splits(self) -> NDArray[np.str_]:
        """(n,)"""
        return self.features.splits[self.rows]

    @property
    def person_ids(self) -> NDArray[np.int32]:
        """(n,)"""
        return self.features.person_ids[self.rows]

    @property
    def camera_ids(self) -> NDArray[np.int32]:
        """(n,)"""
        return self.features.camera_ids[self.rows]

    @property
    def labels(self) -> NDArray[np.uint8]:
        """(n, A); 0 where unknown"""
        return self.features.labels[self.rows]

    @property
    def known(self) -> NDArray[np.bool_]:
        """(n, A): which labels are known."""
        return self.features.known[self.rows]

    @property
    def visual(self) -> NDArray[np.float16]:
        """Read and return the (n, tokens, D) mean tokens."""
        return self.features.visual.gather(self.rows)

    def to_numpy(self) -> dict[str, NDArray[Any]]:
        """Read and return `visual`, `labels`, `known` and what identifies tracklets, each of n rows, by name."""
        return {
            "visual": self.visual,
            "labels": self.labels,
            "known": self.known,
            "tracklet_ids": np.array(self.tracklet_ids, dtype=np.str_),
            "splits": self.splits,
            "person_ids": self.person_ids,
            "camera_ids": self.camera_ids,
        }

    def as_torch(self, *, half: bool = False) -> TokenDataset:
        """Return a torch Dataset of (tokens, labels): (tokens, D) and (A,), float32; `half`: float16 tokens.

        An unknown label is NaN: a loss that does not leave it out is NaN too, not silently wrong.
        """
        from vpar_cache.cache.torch_dataset import TokenDataset  # torch takes seconds to import

        return TokenDataset(self, half)

    def _row(self, number: np.int64) -> FeatureRow:
        features, row = self.features, int(self.rows[number])
        return FeatureRow(
            tracklet_id=features.tracklet_ids[row],
            split=str(features.splits[row]),
            person_id=int(features.person_ids[row]),
            camera_id=int(features.camera_ids[row]),
            labels=features.labels[row],
            known=features.known[row],
            visual=features.visual.gather([row])[0],
        )

    @cached_property
    def _place(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.tracklet_ids)}

    @cached_property
    def _repeated(self) -> set[str]:
        """The ids of which several joined caches have a tracklet."""
        counts = Counter(self.features.tracklet_ids[row] for row in np.unique(self.rows))
        return {name for name, count in counts.items() if count > 1}

    def _numbers(self, rows: Several) -> NDArray[np.int64]:
        """Return (m,) the places, among these n tracklets, of what was asked for."""
        if isinstance(rows, slice) or not len(rows) or not isinstance(rows[0], str):
            return row_numbers(rows, len(self))  # type: ignore[arg-type]  # no text among them
        ids = [str(name) for name in rows]
        for name in ids:
            if name not in self._place:
                raise KeyError(f"{name!r} is not a tracklet of {self!r}; {nearest(name, self._place)}")
            if name in self._repeated:
                raise KeyError(f"{name!r} is a tracklet of several caches; choose it by its row number")
        return np.array([self._place[name] for name in ids])
