"""Keep the features of what is predicted, as a cache without labels and split (--keep-features)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

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
from vpar_cache.cache.writer import IndexContents, ShardContents, remove_unlisted, write_index, write_shard
from vpar_cache.datasets.decoding import library_versions
from vpar_cache.errors import UserError
from vpar_cache.prediction.tracks import Track

BEST = "best"
"""The `sampling` of tracks of a video: the best frames of each part."""


class FeatureKeeper:
    """Writes shards as they fill, and the index at the end. A context manager: what fails leaves no shard."""

    def __init__(self, out: Path, encoder: Encoder, settings: dict[str, Any], of_video: bool) -> None:
        """`settings`: of the run's cache. `of_video`: the frames were chosen as the best of a video.

        Raises UserError where `out` is a cache of another kind, CacheError where it is damaged.
        """
        self._out, self._encoder = fmt.follow_link(out), encoder
        if out.exists() and (dataset := read_index(out).dataset) != fmt.KEPT_DATASET:
            raise UserError(
                f"--keep-features: got {out}, which is an extracted cache of the dataset {dataset}; expected a "
                "new file, or one that --keep-features wrote. Choose another name"
            )
        chosen = {"sampling": BEST, "seed": None} if of_video else {}
        made = {name: value for name, value in settings.items() if name != "weights"}
        self._config = {**made, **chosen, "precision": encoder.precision, "views": 0}
        self._rows: list[EncodedBatch] = []
        self._ids: list[str] = []
        self._digests: list[str] = []
        self._num_bytes = 0
        self._shards: list[ShardHeader] = []
        self._new: list[Path] = []
        """Shards that were not there before."""
        self._num_frames: list[int] = []
        """Of all tracklets, those of published shards too."""

    def add(self, track: Track, features: EncodedBatch) -> None:
        """Take in one tracklet."""
        kept = 0 if features.frame_tokens is None else features.frame_tokens.nbytes
        self._rows.append(features)
        self._ids.append(track.tracklet_id)
        self._digests.append(_digest(track))
        self._num_frames.append(len(track.crops))
        self._num_bytes += features.tokens.nbytes + features.frame_embeddings.nbytes + kept
        if self._num_bytes >= fmt.SHARD_BYTES:
            self._write()

    def finish(self, schema: Schema) -> bool:
        """Publish the index; with it the shards of an older one go. False: nobody was added."""
        if self._rows:
            self._write()
        if not self._shards:
            return False
        count, width = len(self._num_frames), schema.num_outputs
        prompts, negatives = build_prompts(schema, "paper"), build_negative_prompts(schema, "paper")
        text = {"encoder": NO_TEXT, "prompts": list(prompts), "negative_prompts": list(negatives)}
        contents = IndexContents(
            shards=self._shards,
            tracklet_ids=[name for shard in self._shards for name in shard.tracklet_ids],
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
            prompts=prompts,
            negative_prompts=negatives,
            schema=schema,
            dataset=fmt.KEPT_DATASET,
            visual_config=self._config,
            visual_fingerprint=fingerprint(self._config),
            text_config=text,
            text_fingerprint=fingerprint(text),
            weights=self._encoder.weights_name,
        )
        write_index(self._out, contents)
        self._new = []
        remove_unlisted(self._out, [shard.file for shard in self._shards])
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the shards that no index lists, where `finish` was not reached."""
        for path in self._new:
            path.unlink(missing_ok=True)

    def _write(self) -> None:
        """Publish a shard."""
        rows = self._rows
        arrays: dict[str, NDArray[np.float16]] = {fmt.VISUAL: np.stack([row.tokens for row in rows])}  # (n, N, D)
        if self._config["frames"] != "all":
            arrays[fmt.FRAME_EMBEDDINGS] = np.stack([row.frame_embeddings for row in rows])  # (n, T, D)
        kept = [row.frame_tokens for row in rows if row.frame_tokens is not None]  # each (T, N, D)
        if kept:
            arrays[fmt.FRAME_TOKENS] = np.stack(kept)  # (n, T, N, D)
        self._config["keep_frames"] = bool(kept)
        contents = ShardContents(
            arrays=arrays,
            tracklet_ids=self._ids,
            source_digests=self._digests,
            skipped=(),
            visual_config=self._config,
            visual_fingerprint=fingerprint(self._config),
            weights=self._encoder.weights_name,
            environments=[canonical_json({**self._encoder.environment(), **library_versions()})],
        )
        path = fmt.shard_folder(self._out) / contents.file_name
        self._new += [] if path.exists() else [path]
        self._shards.append(read_shard_header(write_shard(path.parent, contents)))
        self._rows, self._ids, self._digests, self._num_bytes = [], [], [], 0


def _digest(track: Track) -> str:
    """Return blake3 over the id and the frames of a track."""
    hasher = blake3(canonical_json([track.tracklet_id, track.counts]).encode())
    for crop in track.crops:
        hasher.update(canonical_json([crop.frame, *crop.picture.shape]).encode())
        hasher.update(np.ascontiguousarray(crop.picture).tobytes())
    return hasher.hexdigest()
