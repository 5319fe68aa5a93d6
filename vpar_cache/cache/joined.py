"""Several caches as one table: the rows of the first, then those of the next. Nothing is copied."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.base.hashing import fingerprint
from vpar_cache.cache.features import Features, open_features
from vpar_cache.cache.format import count_shared_people
from vpar_cache.cache.hints import load_encode_seconds
from vpar_cache.cache.index import Index
from vpar_cache.cache.rows import RowArray
from vpar_cache.errors import UserError, count_of, printable


@dataclass(frozen=True, eq=False)
class Source:
    """One of the caches."""

    path: Path
    dataset: str
    """Its dataset; with a number where several caches are of one dataset."""
    rows: slice
    """Its rows in the table."""
    people_known: bool


@dataclass(frozen=True, eq=False, repr=False)
class JoinedFeatures(Features):
    """The rows of one or more caches of one visual fingerprint, text fingerprint and schema.

    `person_ids` get new numbers where the caches' people are different people. Tracklet ids may repeat between
    caches.
    """

    sources: tuple[Source, ...]
    own_person_ids: NDArray[np.int32]
    """(N,) as each cache has them"""
    same_people: bool
    """Whether a person id names the same person in all caches."""

    @property
    def where(self) -> str:
        return ", ".join(str(source.path) for source in self.sources)

    @property
    def encode_seconds(self) -> float | None:
        """Return the seconds per tracklet that the encoder took; None where they are not known of a cache."""
        found = [load_encode_seconds(source.path) for source in self.sources]
        known = [seconds for seconds in found if seconds is not None]
        rows = [source.rows.stop - source.rows.start for source in self.sources]
        return float(np.average(known, weights=rows)) if len(known) == len(found) else None

    def people_of(self, rows: NDArray[np.int64]) -> NDArray[np.int32] | None:
        """Return as `Index.people_of`. The rows of one cache have the ids of that cache."""
        for source in self.sources:
            if np.all((rows >= source.rows.start) & (rows < source.rows.stop)):
                return self.own_person_ids[rows] if source.people_known else None
        return self.person_ids[rows] if self.people_known else None

    def datasets_of(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the dataset of each of the rows (n,)."""
        ends = [source.rows.stop for source in self.sources]
        return [self.sources[number].dataset for number in np.searchsorted(ends, rows, side="right")]


def open_joined(
    paths: Sequence[str | os.PathLike[str]],
    same_people: bool = False,
    progress: Callable[[int], object] | None = None,
) -> JoinedFeatures:
    """Open one or more caches as one table. `progress` gets the bytes of each shard whose seal was checked.

    `same_people`: a person id names the same person in all of them; otherwise they are different people. Raises
    UserError for caches that do not fit together, and what `open_features` raises.
    """
    return join([open_features(path, progress) for path in paths], same_people)


def join(caches: Sequence[Features], same_people: bool = False) -> JoinedFeatures:
    """Return open caches as one table. Raises UserError where they do not fit together."""
    check_joinable(caches, same_people)
    first = caches[0]
    own_ids = np.concatenate([cache.person_ids for cache in caches])  # (N,)
    splits = np.concatenate([cache.splits for cache in caches])  # (N,)
    people_known = all(cache.people_known for cache in caches)
    person_ids = own_ids if same_people or len(caches) == 1 else _apart([cache.person_ids for cache in caches])
    if len(caches) == 1:
        arrays = first.arrays
    else:  # opened again, since a RowArray closes its files when it goes
        arrays = {
            name: RowArray([extent for cache in caches for extent in cache.arrays[name].extents], shape[1:])
            for name, shape in first.shapes.items()
        }
    stops = np.cumsum([len(cache) for cache in caches]).tolist()
    sources = tuple(
        Source(cache.path, name, slice(stop - len(cache), stop), cache.people_known)
        for cache, name, stop in zip(caches, dataset_names(caches), stops, strict=True)
    )
    joined: dict[str, Any] = {
        "dataset": joined_dataset(caches),
        "seal": joined_seal(caches),
        "environments": [environment for cache in caches for environment in cache.environments],
        "shards": tuple(shard for cache in caches for shard in cache.shards),
        "shapes": {name: array.shape for name, array in arrays.items()},
        "tracklet_ids": _chained([cache.tracklet_ids for cache in caches]),
        "source_digests": _chained([cache.source_digests for cache in caches]),
        "splits": splits,
        "person_ids": person_ids,
        "people_known": people_known,
        "shared_people": count_shared_people(person_ids, splits, people_known),
        **{
            name: np.concatenate([getattr(cache, name) for cache in caches])  # (N,) or (N, A) or (N, Q)
            for name in ("camera_ids", "num_frames", "labels", "known", "quality")
        },
        "arrays": arrays,
    }
    kept = {name: value for name, value in vars(first).items() if name in first.__dataclass_fields__}
    return JoinedFeatures(**{**kept, **joined}, sources=sources, own_person_ids=own_ids, same_people=same_people)


def joined_dataset(caches: Sequence[Index]) -> str:
    """Return the names of all datasets, as in mars+duke."""
    return "+".join(dict.fromkeys(cache.dataset for cache in caches))


def joined_seal(caches: Sequence[Index]) -> str:
    """Return what identifies the bytes of all caches and their order; of one cache, its seal."""
    seals = [cache.seal for cache in caches]
    return seals[0] if len(seals) == 1 else fingerprint({"caches": seals})


def check_joinable(caches: Sequence[Index], same_people: bool = False) -> None:
    """Raise UserError unless the caches hold different tracklets of one encoder, text and schema."""
    if not caches:
        raise UserError("--features: got none; expected the index of a cache. Give it, as in cache/mars.h5")
    first = caches[0]
    for number, other in enumerate(caches):
        for twin in caches[:number]:
            if shared := len(set(twin.source_digests) & set(other.source_digests)):
                raise UserError(
                    f"--features: got {twin.path} and {other.path}, which have {count_of(shared, 'tracklet')} in "
                    "common; expected caches of different tracklets. Leave one out"
                )
        if found := _difference(first, other):
            what, detail = found
            raise UserError(
                f"--features: got {other.path} with other {what} than {first.path} ({detail}); expected the same "
                "in all caches. Extract it with the settings and attributes of the first"
            )
        if same_people and not other.people_known:
            raise UserError(
                f"--same-people: got {other.path}, which does not know who is who; expected caches with person "
                "ids. Leave --same-people out"
            )


def _difference(first: Index, other: Index) -> tuple[str, str] | None:
    """Return the first part, and what in it, where `other` must agree with `first` and does not."""
    compared: dict[str, tuple[Any, Any]] = {"schema": (first.schema.to_dict(), other.schema.to_dict())}
    if _fingerprints(first) != _fingerprints(other):
        compared |= {
            "encoders": (_encoder(first), _encoder(other)),
            "settings": (first.visual_config, other.visual_config),
            "text embeddings": (first.text_config, other.text_config),
            "fingerprints": (_fingerprints(first), _fingerprints(other)),
        }
    compared["arrays"] = _row_shapes(first), _row_shapes(other)
    for what, (one, two) in compared.items():
        if found := _first_difference(one, two, ""):
            place, expected, got = found
            return what, f"{place}: {got}, not {expected}"
    return None


def _fingerprints(cache: Index) -> dict[str, str]:
    return {"visual": cache.visual_fingerprint, "text": cache.text_fingerprint}


def _encoder(cache: Index) -> dict[str, Any]:
    """Return the names that a user knows. Weights of several names may be the same, which the fingerprints say."""
    backbone, text = cache.visual_config.get("backbone"), cache.text_config.get("encoder")
    return {"backbone": backbone, "weights": cache.weights, "text": text}


def _row_shapes(cache: Index) -> dict[str, tuple[int, ...]]:
    return {name: shape[1:] for name, shape in cache.shapes.items()}


def _first_difference(one: Any, two: Any, place: str) -> tuple[str, str, str] | None:
    """Return the place and the two values of the first difference of two JSON trees, None where they are equal."""
    if isinstance(one, dict) and isinstance(two, dict):
        pairs = [(f"{place}.{key}" if place else key, one.get(key), two.get(key)) for key in {**one, **two}]
    elif isinstance(one, list | tuple) and isinstance(two, list | tuple) and len(one) == len(two):
        pairs = [(f"{place}[{i}]", *values) for i, values in enumerate(zip(one, two, strict=True))]
    else:
        return None if one == two else (place, printable(repr(one))[:120], printable(repr(two))[:120])
    return next(filter(None, (_first_difference(a, b, where) for where, a, b in pairs)), None)


def _chained(parts: Sequence[Sequence[str]]) -> Sequence[str]:
    return parts[0] if len(parts) == 1 else list(chain.from_iterable(parts))


def _apart(person_ids: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    """Return ids (N,) of which no two caches have one in common: 0, 1, ... in the order of the own ids."""
    parts, start = [], 0
    for ids in person_ids:
        present, numbers = np.unique(ids, return_inverse=True)  # (P,), (n,)
        parts.append(start + numbers)
        start += len(present)
    return np.concatenate(parts).astype(np.int32)  # (N,)


def dataset_names(caches: Sequence[Index]) -> list[str]:
    """Return the name of each cache's dataset, with a number where several have that name."""
    names = [cache.dataset for cache in caches]
    return [
        f"{name} {1 + names[:number].count(name)}" if names.count(name) > 1 else name
        for number, name in enumerate(names)
    ]
