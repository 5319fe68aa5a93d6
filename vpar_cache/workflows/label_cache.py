"""Labels for a cache of kept features: `vpar train --labels`. No frame is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vpar_cache.attributes.built_in import load_schema
from vpar_cache.attributes.prompts import build_negative_prompts, build_prompts
from vpar_cache.attributes.schema import Schema
from vpar_cache.backbones.encoder import Encoder
from vpar_cache.backbones.names import NO_TEXT
from vpar_cache.backbones.weights import is_weights_file
from vpar_cache.base.callbacks import Say, log
from vpar_cache.base.devices import resolve_device
from vpar_cache.base.hashing import fingerprint
from vpar_cache.base.lock import sole_writer
from vpar_cache.cache import format as fmt
from vpar_cache.cache.headers import read_shard_header
from vpar_cache.cache.index import Index, read_index
from vpar_cache.cache.writer import IndexContents, write_index
from vpar_cache.datasets.folder import number_people, split_of
from vpar_cache.datasets.labels import KeyColumn, LabelRow, read_labels
from vpar_cache.datasets.tracklet import first_few
from vpar_cache.errors import DataError, UserError, counted

_COLUMNS = (
    KeyColumn("tracklet", ("tracklet_id",)),
    KeyColumn("split"),
    KeyColumn("person_id", optional=True),
)


@dataclass(frozen=True)
class LabelConfig:
    """Where the labels of a cache come from."""

    labels: Path
    """CSV: a row a tracklet, with the columns tracklet_id, split, person_id (optional) and those of the schema."""
    schema: str | None = None
    """mars, duke or a TOML file. None: that of the cache."""
    weights: str | None = None
    """File with the weights of the cache's encoder, to encode phrases. None: as the cache names them."""
    offline: bool = False


def label_cache(path: Path, config: LabelConfig, say: Say = log) -> None:
    """Publish the index of a cache again, with the labels and splits of a file, by tracklet id.

    The shards stay as they are. The phrases of the schema are encoded by the cache's CLIP, unless they are there
    already. Tracklets without a row keep no split. They, and rows without a tracklet, are counted and named.
    Raises UserError for a cache that was extracted with labels, DataError for wrong labels.
    """
    with sole_writer(path, say):
        index = read_index(path)
        if index.dataset != fmt.KEPT_DATASET:
            raise UserError(
                f"--labels: got {path}, which has labels of the dataset {index.dataset}; expected a cache of "
                "`vpar predict --keep-features`. Leave --labels out"
            )
        schema = index.schema if config.schema is None else load_schema(config.schema)
        file = read_labels(config.labels, schema, _COLUMNS)
        people, notes = number_people(file.rows)
        used = _match(index, file.rows, say)
        for note in (*file.notes, *notes):
            say(note)
        numbers = {row.line: person for row, person in zip(file.rows, people, strict=True)}
        nothing = np.zeros(schema.num_outputs, np.uint8)  # (A,)
        no_flags = np.zeros(len(schema.quality), np.uint8)  # (Q,)
        contents = IndexContents(
            shards=[read_shard_header(shard.path) for shard in index.shards],
            tracklet_ids=index.tracklet_ids,
            splits=[fmt.NO_SPLIT if row is None else split_of(row) for row in used],
            person_ids=_people(used, numbers),
            camera_ids=index.camera_ids,
            num_frames=index.num_frames,
            people_known=any("person_id" in row.keys for row in file.rows),
            labels=np.stack([nothing if row is None else row.labels for row in used]),  # (N, A)
            known=np.stack([nothing > 0 if row is None else row.known for row in used]),  # (N, A)
            quality=np.stack([no_flags if row is None else row.quality for row in used]),  # (N, Q)
            schema=schema,
            dataset=index.dataset,
            visual_config=index.visual_config,
            visual_fingerprint=index.visual_fingerprint,
            weights=index.weights,
            **_text(index, schema, config),
        )
        write_index(fmt.follow_link(path), contents)


def _match(index: Index, rows: Sequence[LabelRow], say: Say) -> list[LabelRow | None]:
    """Return the row of each tracklet of the cache, and say what has no partner.

    A row with neither a label nor a split is not used. Raises DataError where an id stands twice or none fits.
    """
    by_id: dict[str, LabelRow] = {}
    for row in rows:
        is_used = row.keys["split"] or row.known.any()
        if is_used and (first := by_id.setdefault(row.keys["tracklet"], row)) is not row:
            raise row.error("tracklet", f"is also in line {first.line}; keep one row")
    ids = set(index.tracklet_ids)
    other = [name for name in by_id if name not in ids]
    if len(other) == len(by_id):
        raise DataError(
            f"--labels: got no row with the id of a tracklet of {index.path} ({first_few(other)}); expected ids "
            f"such as {index.tracklet_ids[0]!r}. Take the column tracklet_id from the table of `vpar predict`"
        )
    used = [by_id.get(tracklet_id) for tracklet_id in index.tracklet_ids]
    without = [name for name, row in zip(index.tracklet_ids, used, strict=True) if row is None]
    if without:
        have = counted(len(without), "tracklet of the cache has", "tracklets of the cache have")
        say(f"{have} neither a label nor a split ({first_few(without)}): left out")
    if other:
        have = counted(len(other), "label row has", "label rows have")
        say(f"{have} no tracklet in the cache ({first_few(other)})")
    return used


def _people(used: Sequence[LabelRow | None], numbers: Mapping[int, int]) -> list[int]:
    """Return the person of each tracklet: a new one without a row. `numbers`: by line of the label file."""
    unused = max(numbers.values()) + 1
    return [unused + place if row is None else numbers[row.line] for place, row in enumerate(used)]


def _text(index: Index, schema: Schema, config: LabelConfig) -> dict[str, Any]:
    """Return the fields of IndexContents about text: those of the index, where it holds the same phrases."""
    prompts, negatives = build_prompts(schema, "paper"), build_negative_prompts(schema, "paper")
    same = (index.prompts, index.negative_prompts) == (prompts, negatives)
    if same and index.text_config["encoder"] != NO_TEXT:
        text, embeddings, negative = index.text_config, index.text, index.text_negative  # (A, Dt) each
    else:
        encoder = _build_encoder(index, config)
        embeddings, negative = encoder.encode_prompts(prompts, negatives)  # (A, Dt) each
        text = {**encoder.text_identity(), "prompts": list(prompts), "negative_prompts": list(negatives)}
    return {
        "prompts": prompts,
        "negative_prompts": negatives,
        "text_config": text,
        "text_fingerprint": fingerprint(text),
        "text_embeddings": embeddings,
        "negative_embeddings": negative,
    }


def _build_encoder(index: Index, config: LabelConfig) -> Encoder:
    """Return the encoder of the cache, for its text alone. Raises UserError for other weights."""
    weights = config.weights or index.weights
    if config.weights is None and is_weights_file(weights) and not Path(weights).is_file():
        raise UserError(f"--weights is missing: the cache was made with the file {weights}; give its path")
    encoder = Encoder(
        str(index.visual_config["backbone"]),
        weights,
        device=resolve_device("cpu"),
        precision="fp32",
        normalize="own",
        offline=config.offline,
    )
    if encoder.visual_digest != index.visual_config["weights_digest"]:
        raise UserError(
            f"--weights: got {encoder.weights_name} with digest {encoder.visual_digest}; expected the weights of "
            f"the cache, {index.weights} with digest {index.visual_config['weights_digest']}. Give those"
        )
    return encoder
