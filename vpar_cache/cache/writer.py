"""Writing a feature cache: the only file that creates HDF5.

Every file is written under a temporary name, closed, sealed, synced and renamed; the index comes last, so
that it is the commit mark. The same content gives the same bytes: no times, no absolute paths, and virtual
datasets without object times.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.schema import Schema
from vpar_cache.base.files import atomic_path
from vpar_cache.base.hashing import canonical_json
from vpar_cache.cache import format as fmt
from vpar_cache.cache.headers import ShardHeader, Skipped
from vpar_cache.cache.seal import bears_seal, write_seal

_FILE_SETTINGS = {
    "libver": "v110",
    "userblock_size": fmt.USER_BLOCK_BYTES,
    "alignment_threshold": fmt.ALIGNMENT_BYTES,
    "alignment_interval": fmt.ALIGNMENT_BYTES,
    "meta_block_size": fmt.FIRST_ARRAY_BYTES - fmt.USER_BLOCK_BYTES,
}


@dataclass(frozen=True)
class ShardContents:
    """Rows of one shard, in tracklet order."""

    arrays: Mapping[str, NDArray[np.float16]]
    """By name of BIG_ARRAYS; /augmented has rows for the train tracklets alone."""
    tracklet_ids: Sequence[str]
    source_digests: Sequence[str]
    """Of each row: tracklet id, draws, chosen frames and their contents, 64 hex digits."""
    skipped: Sequence[Skipped]
    """Tracklets whose frames could not be read."""
    visual_config: Mapping[str, Any]
    visual_fingerprint: str
    weights: str
    environments: Sequence[str]
    """Canonical JSON of library versions and processor of all that computed rows: no part of the fingerprint."""

    @property
    def file_name(self) -> str:
        """The name of the shard."""
        skipped = [digest for _, _, _, digest in self.skipped]
        return fmt.shard_name(self.visual_fingerprint, self.source_digests, skipped)


@dataclass(frozen=True)
class IndexContents:
    """All of an index but its virtual datasets, which follow from the shards."""

    shards: Sequence[ShardHeader]
    tracklet_ids: Sequence[str]
    splits: Sequence[str]
    person_ids: Sequence[int] | NDArray[np.int32]
    camera_ids: Sequence[int] | NDArray[np.int32]
    num_frames: Sequence[int] | NDArray[np.int32]
    people_known: bool
    """Whether person ids name people; False: they were invented, one for each tracklet."""
    labels: NDArray[np.uint8]
    """(N, A); 0 where unknown"""
    known: NDArray[np.bool_]
    """(N, A): which labels are known; of a choice all outputs or none."""
    quality: NDArray[np.uint8]
    """(N, Q)"""
    text_embeddings: NDArray[np.float32]
    """(A, Dt): Dt is the width of the text encoder, which need not be that of the tokens."""
    negative_embeddings: NDArray[np.float32]
    """(A, Dt): what says that the label is 0; zeros for outputs of a choice."""
    prompts: Sequence[str]
    negative_prompts: Sequence[str]
    schema: Schema
    dataset: str
    visual_config: Mapping[str, Any]
    visual_fingerprint: str
    text_config: Mapping[str, Any]
    text_fingerprint: str
    weights: str


def write_shard(folder: Path, contents: ShardContents) -> Path:
    """Publish one sealed shard and return its path: its name follows from what it was made of.

    Big arrays are contiguous, little-endian float16, uncompressed.
    """
    path = folder / contents.file_name
    with _new_shard(path) as file:
        # First of all, so that it starts at byte 4096 of the file.
        arrays = {n: contents.arrays[n].astype("<f2", copy=False) for n in fmt.BIG_ARRAYS if n in contents.arrays}
        for name, array in arrays.items():
            file.create_dataset(name, data=array)
        _write_header(file, contents.visual_fingerprint, contents.weights)
        _write_texts(file, "tracklet_id", contents.tracklet_ids)
        _write_texts(file, "source_digest", contents.source_digests)
        _write_text(file, "skipped", canonical_json([list(item) for item in contents.skipped]))
        _write_text(file, "visual_config", canonical_json(contents.visual_config))
        _write_text(file, "environment", _json_list(contents.environments))
    return path


def write_index(path: Path, contents: IndexContents) -> None:
    """Publish the index; every shard that it lists must be published before."""
    with atomic_path(path) as partial, ThreadPoolExecutor(1) as pool:
        # Not in the main thread, where Python raises an interrupt: inside a write of HDF5 it crashes the process.
        pool.submit(_write_index, partial, fmt.shard_folder(path).name, contents).result()
        write_seal(partial)


def remove_unlisted(out: Path, listed: Iterable[str]) -> None:
    """Remove the sealed shards that the published index does not list."""
    wanted = set(listed)
    for path in fmt.shard_folder(out).glob(fmt.SHARD_GLOB):
        if fmt.SHARD_NAME.fullmatch(path.name) and path.name not in wanted and bears_seal(path):
            path.unlink(missing_ok=True)


def _write_index(path: Path, folder: str, contents: IndexContents) -> None:
    with _PlainFile(path, "w+") as plain:
        try:
            with h5py.File(plain, "w", **_FILE_SETTINGS) as file:
                _fill_index(file, folder, contents)
        finally:
            if plain.failure is not None:
                raise plain.failure


def _fill_index(file: h5py.File, folder: str, contents: IndexContents) -> None:
    _write_header(file, contents.visual_fingerprint, contents.weights)
    file.attrs["text_fingerprint"] = contents.text_fingerprint
    file.attrs["dataset"] = contents.dataset
    people = np.asarray(contents.person_ids, dtype="<i4")  # (N,)
    file.attrs["people_known"] = int(contents.people_known)
    file.attrs["shared_people"] = fmt.count_shared_people(people, contents.splits, contents.people_known)
    for group in ("text", "meta"):
        file.create_group(group)  # one that HDF5 makes on its own would hold the time
    shapes = _shapes(contents.shards)
    _write_text(file, "meta/arrays", canonical_json(shapes))
    if len(contents.shards) <= fmt.MOST_VIRTUAL:
        for name, shape in shapes.items():
            _write_virtual(file, name, shape, folder, contents.shards)
    file["labels"] = contents.labels.astype(np.uint8, copy=False)  # (N, A)
    file["known"] = contents.known.view(np.uint8)  # (N, A)
    file["quality"] = contents.quality.astype(np.uint8, copy=False)  # (N, Q)
    for name, values in (
        ("person_id", people),
        ("camera_id", contents.camera_ids),
        ("num_frames", contents.num_frames),
    ):
        file[name] = np.asarray(values, dtype="<i4")  # (N,)
    _write_texts(file, "tracklet_id", contents.tracklet_ids)
    _write_source_digests(file, contents.shards)
    _write_texts(file, "split", contents.splits)
    file["text/embeddings"] = contents.text_embeddings.astype("<f4")  # (A, Dt)
    file["text/negative"] = contents.negative_embeddings.astype("<f4")  # (A, Dt)
    _write_texts(file, "text/prompt", contents.prompts)
    _write_texts(file, "text/negative_prompt", contents.negative_prompts)
    _write_texts(file, "text/output", [output.name for output in contents.schema.outputs])
    _write_texts(file, "text/group", contents.schema.output_groups())
    _write_text(file, "meta/visual_config", canonical_json(contents.visual_config))
    _write_text(file, "meta/text_config", canonical_json(contents.text_config))
    _write_text(file, "meta/schema", canonical_json(contents.schema.to_dict()))
    _write_text(file, "meta/environment", _json_list([e for s in contents.shards for e in s.environments]))
    shards = [(s.file, len(s.tracklet_ids), s.bytes, s.seal) for s in contents.shards]
    _write_table(file, "shards", shards, fmt.SHARD_ROW)
    extents = [(s.file, n, s.offsets[n], shape[0]) for s in contents.shards for n, shape in s.shapes.items()]
    _write_table(file, "extents", extents, fmt.EXTENT_ROW)


def _json_list(values: Sequence[str]) -> str:
    """Return a JSON list of canonical JSON texts, each once, in their order."""
    return f"[{','.join(sorted(set(values)))}]"


def _utf8(length: int) -> np.dtype[Any]:
    dtype: np.dtype[Any] = h5py.string_dtype("utf-8", length)
    return dtype


@contextmanager
def _new_shard(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file that is sealed and published when the block succeeds.

    It is made in memory: HDF5 groups the metadata of such a file, so that the first array starts at byte 4096.
    """
    with h5py.File(path.name, "w", driver="core", backing_store=False, **_FILE_SETTINGS) as file:
        yield file
        file.flush()
        image = file.id.get_file_image()  # all bytes after the user block
    with atomic_path(path) as partial:
        with partial.open("wb") as raw:
            raw.write(bytes(fmt.USER_BLOCK_BYTES))
            raw.write(image)
        write_seal(partial)


class _PlainFile(io.FileIO):
    """A file for HDF5 to write in, which remembers a failed write and does not raise it.

    Where a write of HDF5 fails, on a full disk, a later call or the exit crashes the process.
    """

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of the data; after a failure nothing."""
        rest = memoryview(data).cast("B")
        try:
            while rest and self.failure is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = error
        return memoryview(data).nbytes


def _write_header(file: h5py.File, visual_fingerprint: str, weights: str) -> None:
    file.attrs["format"] = fmt.FORMAT
    file.attrs["format_version"] = fmt.FORMAT_VERSION
    file.attrs["visual_fingerprint"] = visual_fingerprint
    file.attrs["weights"] = weights


def _write_texts(file: h5py.File, name: str, values: Sequence[str]) -> None:
    """Fixed-length UTF-8, as long as the longest value."""
    longest = max((len(value.encode()) for value in values), default=1)
    dtype = _utf8(longest or 1)
    dataset = file.create_dataset(name, (len(values),), dtype)
    for start in range(0, len(values), fmt.ROWS_AT_ONCE):
        part = [value.encode() for value in values[start : start + fmt.ROWS_AT_ONCE]]
        dataset[start : start + len(part)] = np.array(part, dtype)  # (n,)


def _write_source_digests(file: h5py.File, shards: Sequence[ShardHeader]) -> None:
    """Those of all rows, one shard after the other: as one list they would take gigabytes."""
    dataset = file.create_dataset("source_digest", (sum(len(s.source_digests) for s in shards),), _utf8(64))
    start = 0
    for shard in shards:
        digests = np.array([digest.encode() for digest in shard.source_digests], _utf8(64))  # (n,)
        dataset[start : start + len(digests)] = digests
        start += len(digests)


def _write_text(file: h5py.File, name: str, value: str) -> None:
    encoded = value.encode()
    file[name] = np.array(encoded, dtype=_utf8(len(encoded)))


def _write_table(file: h5py.File, name: str, rows: Sequence[tuple[Any, ...]], dtype: np.dtype[Any]) -> None:
    """A compound dataset; its text fields are marked as UTF-8."""
    fields = [(field, dtype[field]) for field in dtype.names or ()]
    file[name] = np.array(rows, [(f, _utf8(t.itemsize) if t.kind == "S" else t) for f, t in fields])


def _shapes(shards: Sequence[ShardHeader]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the big arrays over all shards, by name."""
    names = shards[0].shapes
    return {n: (sum(shard.shapes[n][0] for shard in shards), *names[n][1:]) for n in names}


def _write_virtual(
    file: h5py.File, name: str, whole: tuple[int, ...], folder: str, shards: Sequence[ShardHeader]
) -> None:
    """Rows of all shards as one dataset. A source that is missing reads as NaN, never as zeros."""
    space = h5py.h5s.create_simple(whole)
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.VIRTUAL)
    creation.set_obj_track_times(False)
    creation.set_fill_value(np.array(np.nan, dtype="<f2"))
    start = 0
    for shard in shards:
        shape = shard.shapes[name]
        if shape[0] == 0:
            continue
        space.select_hyperslab((start, *(0 for _ in shape[1:])), shape)
        source = h5py.h5s.create_simple(shape)
        creation.set_virtual(space, f"{folder}/{shard.file}".encode(), name.encode(), source)
        start += shape[0]
    space.select_all()
    dtype = h5py.h5t.py_create(np.dtype("<f2"))
    h5py.h5d.create(file.id, name.encode(), dtype, space, dcpl=creation)
