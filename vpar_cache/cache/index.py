"""Reading the index of a cache: everything but the big arrays. No shard is opened."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.schema import Schema
from vpar_cache.base.lock import find_writer
from vpar_cache.cache import format as fmt
from vpar_cache.cache.hdf5 import CheckedFile, open_hdf5
from vpar_cache.cache.rows import Extent
from vpar_cache.cache.seal import check_seal
from vpar_cache.errors import DamagedError, DataError, UserError, count_of, counted

_VALUE_BYTES = 2


@dataclass(frozen=True, eq=False)
class ShardInfo:
    """A shard as the index lists it."""

    path: Path
    rows: int
    bytes: int
    seal: str
    tracklet_ids: Sequence[str]
    extents: Mapping[str, Extent]
    """Where it holds its rows of each big array, by name."""


@dataclass(frozen=True, eq=False, repr=False)
class Index:
    """A cache of N tracklets, A outputs, tokens of shape (N, tokens, D): all that its index says."""

    path: Path
    dataset: str
    schema: Schema
    weights: str
    seal: str
    """blake3 of the index; it lists the seals of all shards, so it identifies the whole cache."""
    visual_fingerprint: str
    text_fingerprint: str
    visual_config: dict[str, Any]
    text_config: dict[str, Any]
    environments: list[dict[str, str]]
    shards: tuple[ShardInfo, ...]
    shapes: dict[str, tuple[int, ...]]
    """Of the big float16 arrays, by name; `visual` is always there."""
    tracklet_ids: Sequence[str]
    """(N,)"""
    source_digests: Sequence[str]
    """(N,) of what each row was made: tracklet id, draws, chosen frames and their contents."""
    splits: NDArray[np.str_]
    """(N,) train, validation, test or none"""
    person_ids: NDArray[np.int32]
    """(N,)"""
    people_known: bool
    """Whether person ids name people; False: they were invented, one for each tracklet."""
    shared_people: int
    """How many people are in train and in test; 0 where people are not known."""
    camera_ids: NDArray[np.int32]
    """(N,)"""
    num_frames: NDArray[np.int32]
    """(N,)"""
    labels: NDArray[np.uint8]
    """(N, A); 0 where unknown"""
    known: NDArray[np.bool_]
    """(N, A): which labels are known; of a choice all outputs or none."""
    quality: NDArray[np.uint8]
    """(N, Q)"""
    text: NDArray[np.float32]
    """(A, Dt): Dt is the width of the text encoder, which may differ from that of the tokens."""
    text_negative: NDArray[np.float32]
    """(A, Dt): what says that the label is 0; zeros for outputs of a choice."""
    prompts: tuple[str, ...]
    negative_prompts: tuple[str, ...]
    """(A,) \"\" for outputs of a choice."""
    grid: tuple[int, int]
    """Rows and columns of the tokens that stand for places in the image."""
    prefix_tokens: int
    """Tokens before those; prefix_tokens + rows * columns = tokens."""

    @property
    def random_weights(self) -> bool:
        """Return whether the features come from random weights: no score on them has a meaning."""
        return self.weights.startswith("random:")

    @property
    def where(self) -> str:
        """Return the path, as messages name the cache."""
        return str(self.path)

    def people_of(self, rows: NDArray[np.int64]) -> NDArray[np.int32] | None:
        """Return the person of each of the rows, (n,); None where people are not known."""
        return self.person_ids[rows] if self.people_known else None

    def __len__(self) -> int:
        return len(self.tracklet_ids)

    def count_splits(self) -> dict[str, int]:
        """Return the number of tracklets of each split that has any."""
        return count_splits(self.splits)

    def count_unknown(self) -> dict[str, int]:
        """Return, by group, of how many tracklets the label is unknown; only groups where it is of any."""
        counts = len(self) - self.known.sum(axis=0)  # (A,)
        starts = ((group.name, columns.start) for group, columns in self.schema.slices())
        return {name: int(counts[start]) for name, start in starts if counts[start]}

    def __repr__(self) -> str:
        splits = ", ".join(f"{count} {split}" for split, count in self.count_splits().items())
        people = (
            f"{counted(self.shared_people, 'person', 'people')} in train and in test"
            if self.people_known
            else "people not known"
        )
        arrays = ", ".join(f"{name} {shape}" for name, shape in self.shapes.items())
        mark = " (RANDOM WEIGHTS: no score has a meaning)" if self.random_weights else ""
        return (
            f"{type(self).__name__}({self.dataset}, {self.where!r})\n"
            f"  {count_of(len(self), 'tracklet')} ({splits}), {count_of(self.schema.num_outputs, 'output')} in "
            f"{count_of(len(self.schema.groups), 'group')}\n"
            f"  {count_of(sum(self.count_unknown().values()), 'label')} unknown, {people}\n"
            f"  float16 arrays: {arrays}\n"
            f"  weights {self.weights}{mark}, fingerprint {self.visual_fingerprint[:12]}"
        )


def count_splits(splits: NDArray[np.str_]) -> dict[str, int]:
    """Return the number of tracklets of each split that has any, from (n,) split names."""
    counts = {split: int(np.count_nonzero(splits == split)) for split in (*fmt.SPLITS, fmt.NO_SPLIT)}
    return {split: count for split, count in counts.items() if count}


def read_index(path: str | os.PathLike[str]) -> Index:
    """Check the index's seal, then read it; of a link, the index that it leads to.

    Raises UserError when `path` is not a file, DamagedError for wrong contents, else CacheError.
    """
    path = fmt.follow_link(Path(path))
    if path.is_dir():
        raise UserError(f"{path} is a folder; give the index beside it, {path}.h5")
    if not path.exists():
        if writer := find_writer(path):
            raise UserError(f"{path} is not complete: {writer} is writing it. Wait until that ends")
        raise UserError(f"{path} does not exist; make it with `vpar extract --out {path}`")
    if not path.is_file():
        raise UserError(f"{path} is not a regular file; give the index that `vpar extract` wrote")
    seal = check_seal(path)
    with open_hdf5(path) as file:
        return _read_fields(file, path, seal)


def _read_fields(file: CheckedFile, path: Path, seal: str) -> Index:
    ids = file.texts("tracklet_id")
    n = len(ids)
    if not n or fmt.count_distinct(ids.values) < n:
        raise file.error("tracklet_id must be unique, one or more")
    splits = file.texts("split", n).values.astype(np.str_)  # (N,)
    try:
        schema = Schema.from_dict(file.json("meta/schema", dict))
    except DataError as error:
        raise DamagedError(f"{path}: {error}") from error
    a = schema.num_outputs
    shapes = _read_shapes(file)
    if fmt.VISUAL not in shapes or len(shapes[fmt.VISUAL]) != 3:
        raise file.error("there is no /visual of three dimensions")
    visual_config = file.json("meta/visual_config", dict)
    grid, prefix_tokens = _read_layout(file, visual_config, shapes[fmt.VISUAL][1])
    person_ids = file.array("person_id", "<i4", (n,))
    people_known = file.attribute("people_known", int)
    labels, known = file.array("labels", "u1", (n, a)), file.array("known", "u1", (n, a))
    embeddings = file.array("text/embeddings", "<f4", (a, None))  # (A, Dt)
    index = Index(
        path=path,
        dataset=file.attribute("dataset", str),
        schema=schema,
        weights=file.attribute("weights", str),
        seal=seal,
        visual_fingerprint=file.fingerprint("visual_fingerprint"),
        text_fingerprint=file.fingerprint("text_fingerprint"),
        visual_config=visual_config,
        text_config=file.json("meta/text_config", dict),
        environments=file.json("meta/environment", list),
        shards=_read_shards(file, path, shapes, ids, splits),
        shapes=shapes,
        tracklet_ids=ids,
        source_digests=file.digests("source_digest", n),
        splits=splits,
        person_ids=person_ids,
        people_known=people_known == 1,
        shared_people=file.attribute("shared_people", int),
        camera_ids=file.array("camera_id", "<i4", (n,)),
        num_frames=file.array("num_frames", "<i4", (n,)),
        labels=labels,
        known=known.view(np.bool_),
        quality=file.array("quality", "u1", (n, len(schema.quality))),
        text=embeddings,
        text_negative=file.array("text/negative", "<f4", embeddings.shape),
        prompts=tuple(file.texts("text/prompt", a)),
        negative_prompts=tuple(file.texts("text/negative_prompt", a)),
        grid=grid,
        prefix_tokens=prefix_tokens,
    )
    shared_people = fmt.count_shared_people(person_ids, splits, index.people_known)
    for name, fits, rule in (
        ("split", sum(count_splits(splits).values()) == n, "train, validation, test or none"),
        ("people_known", people_known in (0, 1), "0 or 1"),
        ("shared_people", index.shared_people == shared_people, f"{shared_people}, as person_id and split say"),
        ("known", known.max(initial=0) <= 1, "0 or 1"),
        ("known", _all_rows(schema.are_groups_whole, index.known), "the same for all outputs of a group"),
        (
            "labels",
            _all_rows(lambda label, known: (label <= known).all(), labels, known),
            "0 or 1, and 0 where unknown",
        ),
        ("quality", index.quality.max(initial=0) <= 1, "0 or 1"),
        ("text/embeddings", np.isfinite(index.text).all(), "finite"),
        ("text/negative", np.isfinite(index.text_negative).all(), "finite"),
    ):
        if not fits:
            raise file.error(f"{name} must be {rule}")
    return index


def _all_rows(rule: Callable[..., bool | np.bool_], *arrays: NDArray[Any]) -> bool:
    """Return whether a rule holds for all rows of (N, ...) arrays, asked for a part of them at a time."""
    starts = range(0, len(arrays[0]), fmt.ROWS_AT_ONCE)
    return all(rule(*(array[start : start + fmt.ROWS_AT_ONCE] for array in arrays)) for start in starts)


def _read_layout(file: CheckedFile, config: Mapping[str, Any], tokens: int) -> tuple[tuple[int, int], int]:
    """Return `grid` and `prefix_tokens`, which must account for every token."""
    grid, prefix = config.get("grid"), config.get("prefix_tokens")
    numbers = [prefix, *grid] if isinstance(grid, list) else []
    if len(numbers) == 3 and all(type(n) is int and n >= 0 for n in numbers):
        before, rows, columns = numbers
        if before + rows * columns == tokens:
            return (rows, columns), before
    raise file.error(f"prefix_tokens {str(prefix)[:60]} and grid {str(grid)[:60]} do not make {tokens} tokens")


def _read_shapes(file: CheckedFile) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the big arrays, with which virtual datasets must agree where there are any."""
    listed = file.json("meta/arrays", dict)
    shapes = {name: tuple(listed.pop(name)) for name in fmt.BIG_ARRAYS if isinstance(listed.get(name), list)}
    if listed or not all(type(length) is int and length > 0 for shape in shapes.values() for length in shape):
        raise file.error("meta/arrays is not of shapes")
    for name in fmt.BIG_ARRAYS:
        if name in file and file.virtual_shape(name) != shapes.get(name):
            raise file.error(f"/{name} has not the shape of meta/arrays")
    return shapes


def _read_shards(
    file: CheckedFile,
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    tracklet_ids: Sequence[str],
    splits: NDArray[np.str_],
) -> tuple[ShardInfo, ...]:
    """Return the shards, which must hold exactly the rows of all big arrays, each inside its file."""
    table = file.array("shards", fmt.SHARD_ROW, (None,))
    extents = file.array("extents", fmt.EXTENT_ROW, (len(table) * len(shapes),)).tolist()
    shards = []
    start = 0
    for number, (name, rows, num_bytes, seal) in enumerate(table.tolist()):
        shard = fmt.shard_folder(path) / name.decode("ascii", "backslashreplace")
        if not fmt.SHARD_NAME.fullmatch(shard.name) or shard.name.encode() != name:
            raise file.error(f"/shards lists {name[:80]!r}, which is not the name of a shard")
        if not 0 <= rows <= len(tracklet_ids) - start:
            raise file.error("/shards lists more rows than there are tracklets")
        train = int(np.count_nonzero(splits[start : start + rows] == "train"))
        found = {}
        listed = extents[number * len(shapes) :][: len(shapes)]
        for (file_name, array, offset, count), (wanted, shape) in zip(listed, shapes.items(), strict=True):
            end = offset + count * _VALUE_BYTES * math.prod(shape[1:])
            inside = not count or fmt.USER_BLOCK_BYTES <= offset <= end <= num_bytes
            owners = train if wanted == fmt.AUGMENTED else rows  # only train tracklets have augmented rows
            if (file_name, array) != (name, wanted.encode()) or count != owners or not inside:
                raise file.error(f"/extents does not fit /{wanted} of {shard.name}")
            found[wanted] = Extent(shard, offset, count)
        ids = tracklet_ids[start : start + rows]
        shards.append(ShardInfo(shard, rows, num_bytes, seal.decode("ascii", "replace"), ids, found))
        start += rows
    for name, shape in shapes.items():
        if sum(shard.extents[name].rows for shard in shards) != shape[0]:
            raise file.error(f"/shards does not list the {shape[0]} rows of /{name}")
    if start != len(tracklet_ids):
        raise file.error(f"/shards lists {start} rows for {len(tracklet_ids)} tracklets")
    return tuple(shards)
