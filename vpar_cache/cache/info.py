"""`vpar info`: what a cache holds, from its index alone."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import Any

from vpar_cache.cache.format import NO_SPLIT, count_distinct
from vpar_cache.cache.index import read_index


def describe_cache(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return plain values by name, in the order of interest. No shard is opened; `verify_cache` reads them."""
    index = read_index(path)
    visual = index.visual_config
    tracklets = index.count_splits()
    people = {
        split: count_distinct(index.person_ids[index.splits == split]) for split in tracklets if split != NO_SPLIT
    }
    return {
        "dataset": index.dataset,
        "unit": index.schema.unit,
        "tracklets": tracklets,
        "person_ids": "real" if index.people_known else f"invented, one for each {index.schema.unit}",
        "people": people if index.people_known else None,
        "people_in_train_and_test": index.shared_people if index.people_known else None,
        "outputs": index.schema.num_outputs,
        "groups": len(index.schema.groups),
        "unknown_labels": index.count_unknown(),
        "arrays": {name: list(shape) for name, shape in index.shapes.items()},
        "backbone": visual.get("backbone"),
        "grid": list(index.grid),
        "prefix_tokens": index.prefix_tokens,
        "weights": index.weights,
        "random_weights": index.random_weights,
        **_activation(visual.get("activation"), index.weights),
        **{name: visual.get(name) for name in ("precision", "frames", "sampling", "resize", "normalize")},
        "text_encoder": index.text_config.get("encoder"),
        "text": list(index.text.shape),
        "first_prompt": index.prompts[0],
        "shards": len(index.shards),
        "bytes": index.path.stat().st_size + sum(shard.bytes for shard in index.shards),
        "visual_fingerprint": index.visual_fingerprint,
        "text_fingerprint": index.text_fingerprint,
        "seal": index.seal,
        "computed_with": index.environments,
    }


def _activation(activation: str | None, weights: str) -> dict[str, Any]:
    """Return CLIP's activation, and whether it is assumed: the tag of weights says it, a file does not."""
    if activation is None:
        return {}
    assumed = PurePath(weights).suffix in (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
    return {"activation": activation, "activation_is": "assumed" if assumed else "known"}
