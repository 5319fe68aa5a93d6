"""`vpar info`: what a cache holds, from its index alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vpar_cache.cache.features import read_index


def describe_cache(path: Path) -> dict[str, Any]:
    """Plain values by name, in the order of interest. Shards are not opened; see verify_cache for that."""
    index = read_index(path)
    f = index.fields
    splits, people = f["splits"], f["person_ids"]
    visual = f["visual_config"]
    shards = f["shards"]
    return {
        "dataset": f["dataset"],
        "tracklets": {s: int(np.count_nonzero(splits == s)) for s in ("train", "test")},
        "people": {s: len(set(people[splits == s].tolist())) for s in ("train", "test")},
        "outputs": f["schema"].num_outputs,
        "groups": len(f["schema"].groups),
        "arrays": {name: list(shape) for name, shape in index.big_shapes.items()},
        "backbone": visual.get("backbone"),
        "grid": list(f["grid"]),
        "prefix_tokens": f["prefix_tokens"],
        "weights": f["weights"],
        "random_weights": f["weights"].startswith("random:"),
        "precision": visual.get("precision"),
        "frames": visual.get("frames"),
        "sampling": visual.get("sampling"),
        "resize": visual.get("resize"),
        "normalize": visual.get("normalize"),
        "text_encoder": f["text_config"].get("encoder"),
        "text": list(f["text"].shape),
        "first_prompt": f["prompts"][0],
        "shards": len(shards),
        "bytes": path.stat().st_size + sum(shard.bytes for shard in shards),
        "visual_fingerprint": f["visual_fingerprint"],
        "text_fingerprint": f["text_fingerprint"],
        "seal": f["seal"],
        "computed_with": f["environments"],
    }
