"""Keep the features of what is predicted, as a cache without labels and split (--keep-features)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from vpar_cache.attributes.prompts import build_negative_prompts, build_prompts
from vpar_cache.attributes.schema import Schema
from vpar_cache.backbones.encoder import EncodedBatch, Encoder
from vpar_cache.backbones.names import NO_TEXT
from vpar_cache.base.hashing import canonical_json, fingerprint
from vpar_cache.cache import format as fmt
from vpar_cache.cache.headers import ShardHeader, read_shard_header
from vpar_cache.cache.index import read_index
from vpar_cache.cache.writer import IndexContents, ShardContents, write_index, write_shard
from vpar_cache.datasets.decoding import library_versions
from vpar_cache.errors import DataError
from vpar_cache.prediction.tracks import Track

DATASET = "own"
"""The name of such a cache's dataset."""
BEST = "best"
"""The `sampling` of tracks of a video: the best frames of each part."""
_SHARD_ROWS = 256


class FeatureKeeper:
    """Writes shards as they fill, and the index at the end."""

    def __init__(self, out: Path, encoder: Encoder, settings: dict[str, Any], of_video: bool) -> None:
        """`settings`: of the run's cache. `of_video`: the frames were chosen as the best of a video."""
        self._out, self._encoder = out, encoder
        chosen = {"sampling": BEST, "seed": None} if of_video else {}
        made = {name: value for name, value in settings.items() if name != "weights"}
        self._config = {**made, **chosen, "precision": encoder.precision, "views": 0}
        self._fingerprint = fingerprint(self._config)
        self._rows: list[tuple[Track, EncodedBatch]] = []
        self._shards: list[ShardHeader] = []
        self._num_frames: list[int] = []

    def add(self, track: Track, features: EncodedBatch) -> None:
        """Take in one tracklet."""
        self._rows.append((track, features))
        if len(self._rows) == _SHARD_ROWS:
            self._write()

    def _write(self) -> None:
        """Publish a shard."""
        arrays: dict[str, NDArray[np.float16]] = {
            fmt.VISUAL: np.stack([row.tokens for _, row in self._rows])  # (n, N, D)
        }
        if self._config["frames"] != "all":
            arrays[fmt.FRAME_EMBEDDINGS] = np.stack([row.frame_embeddings for _, row in self._rows])  # (n, T, D)
        kept = [row.frame_tokens for _, row in self._rows if row.frame_tokens is not None]  # each (T, N, D)
        if self._config["keep_frames"] and kept:
            arrays[fmt.FRAME_TOKENS] = np.stack(kept)  # (n, T, N, D)
        contents = ShardContents(
            arrays=arrays,
            tracklet_ids=[track.tracklet_id for track, _ in self._rows],
            source_digests=[_digest(track) for track, _ in self._rows],
            skipped=(),
            visual_config=self._config,
            visual_fingerprint=self._fingerprint,
            weights=self._encoder.weights_name,
            environments=[canonical_json({**self._encoder.environment(), **library_versions()})],
        )
        self._shards.append(read_shard_header(write_shard(fmt.shard_folder(self._out), contents)))
        self._num_frames += [len(track.crops) for track, _ in self._rows]
        self._rows = []

    def finish(self, schema: Schema) -> None:
        """Publish the index; with it an older one goes, and the shards that it alone listed."""
        if self._rows:
            self._write()
        if not self._shards:
            raise DataError(f"--keep-features: {self._out} would be empty; give inputs with people")
        before = [shard.path for shard in read_index(self._out).shards] if self._out.exists() else []
        count, width = len(self._num_frames), schema.num_outputs
        text = {
            "encoder": NO_TEXT,
            "prompts": list(build_prompts(schema, "paper")),
            "negative_prompts": list(build_negative_prompts(schema, "paper")),
        }
        contents = IndexContents(
            shards=self._shards,
            tracklet_ids=[id for shard in self._shards for id in shard.tracklet_ids],
            splits=[fmt.NO_SPLIT] * count,
            person_ids=np.arange(count, dtype=np.int32),  # (N,)
            camera_ids=[0] * count,
            num_frames=self._num_frames,
            people_known=False,
            labels=np.zeros((count, width), np.uint8),  # (N, A)
            known=np.zeros((count, width), np.bool_),  # (N, A)
            quality=np.zeros((count, len(schema.quality)), np.uint8),  # (N, Q)
            text_embeddings=np.zeros((width, 0), np.float32),  # (A, 0)
            negative_embeddings=np.zeros((width, 0), np.float32),  # (A, 0)
            prompts=text["prompts"],
            negative_prompts=text["negative_prompts"],
            schema=schema,
            dataset=DATASET,
            visual_config=self._config,
            visual_fingerprint=self._fingerprint,
            text_config=text,
            text_fingerprint=fingerprint(text),
            weights=self._encoder.weights_name,
        )
        write_index(self._out, contents)
        remove_unlisted(before, self._shards)


def remove_unlisted(before: Sequence[Path], shards: Sequence[ShardHeader]) -> None:
    """Remove the shards of an older index that the new one does not list."""
    listed = {shard.file for shard in shards}
    for path in before:
        if path.name not in listed:
            path.unlink(missing_ok=True)


def _digest(track: Track) -> str:
    """Return blake3 over the id and the frames of a track."""
    hasher = blake3(canonical_json([track.tracklet_id, track.counts]).encode())
    for crop in track.crops:
        hasher.update(canonical_json([crop.frame, *crop.picture.shape]).encode())
        hasher.update(np.ascontiguousarray(crop.picture).tobytes())
    return hasher.hexdigest()
