"""The end of an extraction: what was left out, and the index over the shards."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vpar_cache.base.escaping import csv_cell
from vpar_cache.base.files import write_text
from vpar_cache.cache import format as fmt
from vpar_cache.cache.headers import ShardHeader
from vpar_cache.cache.writer import IndexContents, write_index
from vpar_cache.datasets.tracklet import NEEDED_SPLITS, Dataset, LeftOut
from vpar_cache.errors import DataError, count_of
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.encoder_identity import EncoderIdentity
from vpar_cache.extraction.held_cache import SKIPPED_FILE, SKIPPED_HEADER
from vpar_cache.extraction.plan import Plan
from vpar_cache.extraction.text_fields import TextFields

_SHOWN = 5
"""Tracklets left out that the error names."""


def account_for_skipped(
    config: ExtractConfig, dataset: Dataset, headers: Sequence[ShardHeader]
) -> tuple[LeftOut, ...]:
    """List every labelled tracklet that is not in the cache in skipped.csv. DataError beyond --max-bad."""
    unreadable = [LeftOut(*skip[:3]) for header in headers for skip in header.skipped]
    skipped = (*dataset.left_out, *unreadable)
    path = fmt.shard_folder(config.out) / SKIPPED_FILE
    if not skipped:
        path.unlink(missing_ok=True)
        return ()
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(SKIPPED_HEADER.split(","))
    writer.writerows(map(csv_cell, (item.tracklet_id, item.split, item.reason)) for item in skipped)
    write_text(path, table.getvalue())
    if len(skipped) > config.max_bad:
        first = "; ".join(f"{item.tracklet_id}: {item.reason}" for item in skipped[:_SHOWN])
        kept = "; finished shards are kept" if headers else ""
        raise DataError(
            f"{count_of(len(skipped), 'tracklet')} cannot be used, more than --max-bad {config.max_bad} "
            f"({first}); all are listed in {path}. Fix them, or allow them with --max-bad {len(skipped)}{kept}"
        )
    return skipped


def publish_index(
    out: Path,
    dataset: Dataset,
    headers: Sequence[ShardHeader],
    plan: Plan,
    identity: EncoderIdentity,
    text: TextFields,
) -> None:
    """Publish the index over the shards."""
    by_id = {tracklet.tracklet_id: tracklet for tracklet in dataset.tracklets}
    rows = [by_id[tracklet_id] for header in headers for tracklet_id in header.tracklet_ids]
    for split in NEEDED_SPLITS:
        if not any(row.split == split for row in rows):
            raise DataError(
                f"{dataset.name}: got no usable {split} tracklet; expected one or more of each split. "
                "Fix the data, or raise --limit"
            )
    contents = IndexContents(
        shards=headers,
        tracklet_ids=[row.tracklet_id for row in rows],
        splits=[row.split for row in rows],
        person_ids=[row.person_id for row in rows],
        camera_ids=[row.camera_id for row in rows],
        num_frames=[len(row.frames) for row in rows],
        people_known=dataset.people_known,
        labels=np.stack([row.labels for row in rows]),  # (N, A)
        known=np.stack([row.known_labels() for row in rows]),  # (N, A)
        quality=np.stack([row.quality for row in rows]),  # (N, Q)
        schema=dataset.schema,
        dataset=dataset.name,
        visual_config=plan.visual_config,
        visual_fingerprint=plan.visual_fingerprint,
        weights=identity.weights_name,
        **text.fields(),
    )
    write_index(out, contents)
