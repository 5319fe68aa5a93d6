"""Reading a feature cache: verified first, then row by row.

Seals are checked on raw bytes before HDF5 sees them: the index's at every opening, a shard's on first use
and again when its size or time changed (remembered in NAME/.verified). Rows are read straight from the
shards, never through a virtual dataset.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.schema import Schema
from vpar_cache.base.files import read_plain, write_text
from vpar_cache.cache import format as fmt
from vpar_cache.cache.damage import ShardInfo, check_shard, stat_shard
from vpar_cache.cache.hdf5 import (
    child,
    has_child,
    open_hdf5,
    read_array,
    read_attribute,
    read_json,
    read_texts,
)
from vpar_cache.cache.headers import shard_extents
from vpar_cache.cache.rows import Extent, RowArray
from vpar_cache.cache.table import read_shard_table
from vpar_cache.errors import CacheError, DataError, UserError

_VERIFIED = ".verified"
_MAX_MEMORY_BYTES = 64_000_000


@dataclass(frozen=True, eq=False)
class Features:
    """An open cache of N tracklets, A outputs, tokens of shape (N, tokens, D)."""

    path: Path
    dataset: str
    schema: Schema
    weights: str
    seal: str
    """blake3 of the index; it lists the seals of all shards, so it names the whole cache."""
    visual_fingerprint: str
    text_fingerprint: str
    visual_config: dict[str, Any]
    text_config: dict[str, Any]
    environments: list[dict[str, str]]
    shards: tuple[ShardInfo, ...]
    tracklet_ids: tuple[str, ...]
    splits: NDArray[np.str_]
    """(N,) train or test"""
    person_ids: NDArray[np.int32]
    """(N,)"""
    camera_ids: NDArray[np.int32]
    """(N,)"""
    num_frames: NDArray[np.int32]
    """(N,)"""
    labels: NDArray[np.uint8]
    """(N, A)"""
    quality: NDArray[np.uint8]
    """(N, Q)"""
    text: NDArray[np.float32]
    """(A, Dt): Dt is the width of the text encoder, which need not be that of the tokens."""
    text_negative: NDArray[np.float32]
    """(A, Dt): what says that the label is 0; zeros for outputs of a choice."""
    prompts: tuple[str, ...]
    negative_prompts: tuple[str, ...]
    """(A,) \"\" for outputs of a choice."""
    grid: tuple[int, int]
    """Rows and columns of the tokens that stand for places in the image."""
    prefix_tokens: int
    """Tokens before those; prefix_tokens + rows * columns = tokens."""
    arrays: dict[str, RowArray]
    """The big float16 arrays by name; `visual` is always there."""

    @property
    def random_weights(self) -> bool:
        """True when the features come from random weights: nothing made of them has a meaning."""
        return self.weights.startswith("random:")

    @property
    def visual(self) -> RowArray:
        """(N, tokens, D) mean tokens."""
        return self.arrays[fmt.VISUAL]

    @property
    def num_views(self) -> int:
        """K: augmented draws stored for each train tracklet; 0 when there are none."""
        return self.arrays[fmt.AUGMENTED].shape[1] if fmt.AUGMENTED in self.arrays else 0

    def with_views(self) -> RowArray:
        """(N + N_train * K, tokens, D): `visual`, then view k of train tracklet i in row N + i * K + k."""
        if not self.num_views:
            return self.visual
        return self.visual.followed_by(self.arrays[fmt.AUGMENTED])

    def rows_of(self, split: str) -> NDArray[np.int64]:
        """Row numbers of a split, in cache order."""
        return np.flatnonzero(self.splits == split)


@dataclass(frozen=True)
class Index:
    """What the index file alone says, before any shard is touched."""

    fields: dict[str, Any]
    big_shapes: dict[str, tuple[int, ...]]


def open_features(path: Path, progress: Callable[[int], object] | None = None) -> Features:
    """Open a cache for reading. `progress` gets the bytes of shards as their seals are checked.

    Raises CacheError for a missing, damaged, foreign or hostile file, and names it; UserError when `path`
    is no index.
    """
    path = Path(path)
    index = read_index(path)
    shards: tuple[ShardInfo, ...] = index.fields["shards"]
    _check_shard_seals(path, shards, progress)
    extents: dict[str, list[Extent]] = {name: [] for name in index.big_shapes}
    for shard in shards:
        fingerprint = index.fields["visual_fingerprint"]
        found = shard_extents(shard.path, shard.rows, fingerprint, index.big_shapes)
        for rows in shard.arrays:
            if found[rows.name] != rows.extent:
                raise CacheError(
                    f"{shard.path}: {rows.name} is not where {path} lists it; extract the cache again"
                )
            extents[rows.name].append(rows.extent)
    arrays = {}
    for name, shape in index.big_shapes.items():
        arrays[name] = RowArray(extents[name], shape[1:])
        if arrays[name].shape != shape:
            raise CacheError(
                f"{path}: /{name} is {shape}, but its shards hold {arrays[name].shape}; extract it again"
            )
    return Features(path=path, arrays=arrays, **index.fields)


def read_index(path: Path) -> Index:
    """Check the index's seal, then read all of it but the big arrays."""
    if path.is_dir():
        raise UserError(f"{path} is a folder; give the index beside it, {path}.h5")
    if not path.exists():
        raise UserError(f"{path} does not exist; make it with `vpar extract --out {path}`")
    if not path.is_file():
        raise UserError(f"{path} is no plain file; give the index that `vpar extract` wrote")
    seal = fmt.check_seal(path)
    with open_hdf5(path) as file:
        return _read_open_index(file, path, path.stat().st_size, seal)


def _read_open_index(file: h5py.File, path: Path, size: int, seal: str) -> Index:
    where = str(path)
    ids = read_texts(file, "tracklet_id", None, size, where)
    n = len(ids)
    splits = np.array(read_texts(file, "split", n, size, where), dtype=np.str_)
    text, meta = child(file, "text", h5py.Group, where), child(file, "meta", h5py.Group, where)
    try:
        schema = Schema.from_dict(read_json(meta, "schema", dict, size, where))
    except DataError as error:
        raise CacheError(f"{where}: {error}") from error
    a = schema.num_outputs
    shapes = {name: _virtual_shape(file, name, path) for name in fmt.BIG_ARRAYS if has_child(file, name)}
    if fmt.VISUAL not in shapes or len(shapes[fmt.VISUAL]) != 3:
        raise CacheError(f"{where} has no /visual of three dimensions; extract it again")
    visual_config = read_json(meta, "visual_config", dict, size, where)
    grid, prefix_tokens = _read_layout(visual_config, shapes[fmt.VISUAL][1], where)
    embeddings = read_array(text, "embeddings", "<f4", (a, None), size, where)  # (A, Dt)
    fields = {
        "dataset": read_attribute(file, "dataset", str, where),
        "schema": schema,
        "weights": read_attribute(file, "weights", str, where),
        "seal": seal,
        "visual_fingerprint": read_attribute(file, "visual_fingerprint", str, where),
        "text_fingerprint": read_attribute(file, "text_fingerprint", str, where),
        "visual_config": visual_config,
        "text_config": read_json(meta, "text_config", dict, size, where),
        "environments": read_json(meta, "environment", list, size, where),
        "shards": read_shard_table(file, path, size, shapes, ids, splits),
        "tracklet_ids": tuple(ids),
        "splits": splits,
        "person_ids": read_array(file, "person_id", "<i4", (n,), size, where),
        "camera_ids": read_array(file, "camera_id", "<i4", (n,), size, where),
        "num_frames": read_array(file, "num_frames", "<i4", (n,), size, where),
        "labels": read_array(file, "labels", "u1", (n, a), size, where),
        "quality": read_array(file, "quality", "u1", (n, len(schema.quality)), size, where),
        "text": embeddings,
        "text_negative": read_array(text, "negative", "<f4", embeddings.shape, size, where),
        "prompts": tuple(read_texts(text, "prompt", a, size, where)),
        "negative_prompts": tuple(read_texts(text, "negative_prompt", a, size, where)),
        "grid": grid,
        "prefix_tokens": prefix_tokens,
    }
    _check_values(fields, where)
    return Index(fields, shapes)


def _read_layout(visual_config: Mapping[str, Any], tokens: int, where: str) -> tuple[tuple[int, int], int]:
    """`grid` and `prefix_tokens`, which must account for every token."""
    grid, prefix = visual_config.get("grid"), visual_config.get("prefix_tokens")
    numbers = (prefix, *grid) if isinstance(grid, list) else ()
    whole = [number for number in numbers if type(number) is int and number >= 0]
    if len(whole) == len(numbers) == 3 and whole[0] + whole[1] * whole[2] == tokens:
        return (whole[1], whole[2]), whole[0]
    raise CacheError(
        f"{where}: prefix_tokens {str(prefix)[:60]} and grid {str(grid)[:60]} do not make {tokens} tokens; "
        "extract the cache again"
    )


def _check_values(fields: Mapping[str, Any], where: str) -> None:
    """What the right types alone do not promise."""
    for name, fits, rule in (
        (
            "tracklet_ids",
            len(set(fields["tracklet_ids"])) == len(fields["tracklet_ids"]) > 0,
            "unique, one or more",
        ),
        ("splits", np.isin(fields["splits"], ("train", "test")).all(), "train or test"),
        ("labels", (fields["labels"] <= 1).all(), "0 or 1"),
        ("quality", (fields["quality"] <= 1).all(), "0 or 1"),
        ("text", np.isfinite(fields["text"]).all(), "finite"),
        ("text_negative", np.isfinite(fields["text_negative"]).all(), "finite"),
    ):
        if not fits:
            raise CacheError(f"{where}: {name} must be {rule}; extract the cache again")


def _virtual_shape(file: h5py.File, name: str, path: Path) -> tuple[int, ...]:
    """The shape of a big array; its virtual sources must be shards in the index's own folder.

    It is taken from the sources: asked for its own shape, a virtual dataset may open them, unsealed as they are.
    """
    dataset = child(file, name, h5py.Dataset, str(path))
    if dataset.dtype != np.dtype("<f2") or not dataset.is_virtual:
        raise CacheError(f"{path}: /{name} must be a virtual dataset of float16; extract the cache again")
    folder = fmt.shard_folder(path).name
    shapes = set()
    for source in dataset.virtual_sources():
        shapes.add(tuple(int(length) for length in source.vspace.shape))
        parent, _, base = source.file_name.rpartition("/")
        if parent != folder or not fmt.SHARD_NAME.fullmatch(base) or source.dset_name != name:
            raise CacheError(
                f"{path}: /{name} takes rows from {source.file_name[:200]!r}, but may only from "
                f"{folder}/shard-NNNNN.h5; an index keeps its name and moves together with its folder"
            )
    if len(shapes) != 1 or 0 in (shape := shapes.pop()):
        raise CacheError(f"{path}: the sources of /{name} do not agree on its shape; extract the cache again")
    return shape


def _check_shard_seals(path: Path, shards: Sequence[ShardInfo], progress: Callable[[int], object] | None) -> None:
    """Each shard must be, byte for byte, what the index lists.

    What was checked before is remembered by inode, size and times: the time of the last change of the inode is
    among them, which a copy cannot bring along.
    """
    memory = fmt.shard_folder(path) / _VERIFIED
    known = _remembered(memory)
    now: dict[str, list[int | str]] = {}
    for shard in shards:
        stat = stat_shard(shard)
        now[shard.path.name] = [stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, shard.seal]
        if known.get(shard.path.name) != now[shard.path.name]:
            check_shard(shard, progress)
    if known != now:
        try:
            write_text(memory, json.dumps(now))
        except CacheError:
            return  # a read-only cache is checked anew at every opening; nothing else is lost


def _remembered(memory: Path) -> dict[str, list[int | str]]:
    try:
        known = json.loads(read_plain(memory, _MAX_MEMORY_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}  # no memory: everything is checked
    return known if isinstance(known, dict) else {}
