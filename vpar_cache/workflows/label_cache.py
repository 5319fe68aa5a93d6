"""Labels for a cache that has none: `vpar train --labels`. No frame is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.built_in import load_schema
from vpar_cache.attributes.prompts import build_negative_prompts, build_prompts
from vpar_cache.attributes.schema import Schema
from vpar_cache.backbones.names import NO_TEXT
from vpar_cache.backbones.weights import is_weights_file
from vpar_cache.base.callbacks import Say, log
from vpar_cache.base.hashing import fingerprint
from vpar_cache.base.lock import sole_writer
from vpar_cache.cache import format as fmt
from vpar_cache.cache.headers import read_shard_header
from vpar_cache.cache.index import Index, read_index
from vpar_cache.cache.writer import IndexContents, write_index
from vpar_cache.datasets.folder import person_ids, split_of
from vpar_cache.datasets.labels import KeyColumn, LabelRow, read_labels
from vpar_cache.errors import DataError, UserError, count_of, counted
from vpar_cache.prediction.outputs.keep_features import DATASET

_COLUMNS = (KeyColumn("tracklet", ("tracklet_id",)), KeyColumn("split"), KeyColumn("person_id", optional=True))
_SHOWN = 3


def label_cache(path: Path, labels: Path, schema: str = "mars", *, offline: bool = False, say: Say = log) -> None:
    """Publish the index of a cache again, with labels and splits of a file, by tracklet id.

    The shards stay as they are. `schema`: mars, duke or a TOML file. Its phrases are encoded where the cache's CLIP
    can be built here; else the cache gets no text, and only models that read none can be trained. Tracklets without
    a row keep no split; rows without a tracklet are counted and named. Raises UserError for a cache with labels of
    its own, DataError for wrong labels.
    """
    with sole_writer(path, say):
        index = read_index(path)
        if index.dataset != DATASET:
            raise UserError(
                f"--labels: {path} has labels of its own, from {index.dataset}; expected a cache that `vpar predict "
                "--keep-features` wrote. Leave --labels out"
            )
        attributes = load_schema(schema)
        file = read_labels(labels, attributes, _COLUMNS)
        rows = _by_tracklet(labels, file.rows)
        used = [rows.get(tracklet_id) for tracklet_id in index.tracklet_ids]
        people, notes = person_ids(file.rows)
        person_of = dict(zip((row.line for row in file.rows), people, strict=True))
        known_people = any("person_id" in row.keys for row in file.rows)
        for note in (*file.notes, *notes, *_unmatched(index, rows, used)):
            say(note)
        text, embeddings, negative = _text(index, attributes, offline, say)
        none = np.zeros(attributes.num_outputs, np.uint8)  # (A,)
        contents = IndexContents(
            shards=[read_shard_header(shard.path) for shard in index.shards],
            tracklet_ids=index.tracklet_ids,
            splits=[fmt.NO_SPLIT if row is None else split_of(row) for row in used],
            person_ids=[n if row is None or not known_people else person_of[row.line] for n, row in enumerate(used)],
            camera_ids=index.camera_ids,
            num_frames=index.num_frames,
            people_known=known_people and all(row is not None for row in used),
            labels=np.stack([none if row is None else row.labels for row in used]),  # (N, A)
            known=np.stack([none > 0 if row is None else row.known for row in used]),  # (N, A)
            quality=np.stack([np.zeros(len(attributes.quality), np.uint8) if row is None else row.quality for row in used]),
            text_embeddings=embeddings,
            negative_embeddings=negative,
            prompts=text["prompts"],
            negative_prompts=text["negative_prompts"],
            schema=attributes,
            dataset=index.dataset,
            visual_config=index.visual_config,
            visual_fingerprint=index.visual_fingerprint,
            text_config=text,
            text_fingerprint=fingerprint(text),
            weights=index.weights,
        )
        write_index(fmt.follow_link(path), contents)


def _by_tracklet(labels: Path, rows: tuple[LabelRow, ...]) -> dict[str, LabelRow]:
    """Return the rows with a split by tracklet id. A row with neither label nor split is not used."""
    found: dict[str, LabelRow] = {}
    for row in rows:
        tracklet_id = row.keys["tracklet"]
        if not row.keys["split"] and not row.known.any():
            continue
        if tracklet_id in found:
            raise DataError(
                f"{labels} line {row.line}: {tracklet_id[:60]!r} is also in line {found[tracklet_id].line}; keep one row"
            )
        found[tracklet_id] = row
    return found


def _unmatched(index: Index, rows: Mapping[str, LabelRow], used: list[LabelRow | None]) -> list[str]:
    """Return notes on tracklets without a row, and on rows without a tracklet."""
    notes = []
    if missing := used.count(None):
        have = counted(missing, "tracklet of the cache has", "tracklets of the cache have")
        notes.append(f"{have} no label row and are left out")
    ids = set(index.tracklet_ids)
    if other := [name for name in rows if name not in ids]:
        notes.append(f"{count_of(len(other), 'label row')} without a tracklet in the cache: {', '.join(other[:_SHOWN])}")
    if len(other) == len(rows):
        raise DataError(
            f"--labels: no row has the id of a tracklet in {index.path}, as {index.tracklet_ids[0]!r}; got "
            f"{', '.join(other[:_SHOWN])}. Write the ids of the prediction's table into the column tracklet"
        )
    return notes


def _text(
    index: Index, schema: Schema, offline: bool, say: Say
) -> tuple[dict[str, Any], NDArray[np.float32], NDArray[np.float32]]:
    """Return what the text is, and embeddings (A, Dt) of phrases and negatives; Dt is 0 without an encoder."""
    prompts, negatives = build_prompts(schema, "paper"), build_negative_prompts(schema, "paper")
    text: dict[str, Any] = {"prompts": list(prompts), "negative_prompts": list(negatives)}
    if is_weights_file(index.weights) and not Path(index.weights).is_file():
        say(f"the weights file {index.weights} is not here: phrases are not encoded, so models that read text cannot train")
        empty = np.zeros((len(prompts), 0), np.float32)  # (A, 0)
        return {"encoder": NO_TEXT, **text}, empty, empty
    from vpar_cache.backbones.encoder import Encoder  # torch and the libraries of networks
    from vpar_cache.base.devices import resolve_device

    encoder = Encoder(
        str(index.visual_config["backbone"]),
        index.weights,
        device=resolve_device("cpu"),
        precision="fp32",
        normalize="own",
        offline=offline,
    )
    if encoder.visual_digest != index.visual_config["weights_digest"]:
        raise UserError(f"--labels: the weights {index.weights} are not those of {index.path}; put those in their place")
    embeddings, negative = encoder.encode_prompts(prompts, negatives)  # (A, Dt), (A, Dt)
    return {**encoder.text_identity(), **text}, embeddings, negative
