"""Seconds per frame of a real `vpar extract`, from JPEG to published shard, for the benchmarks that compare it."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from bare_forward import WEIGHTS

from vpar_cache.cache import format as fmt
from vpar_cache.cache.hints import load_encode_seconds
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract

FRAMES = 6


def our_seconds_per_frame(root: Path, out: Path, tracklets: int) -> float:
    """Of `tracklets` drawn pedestrians with default settings on the CPU, from the first file read to the last
    shard published: neither loading the network nor reading the list of tracklets."""
    shutil.rmtree(fmt.shard_folder(out), ignore_errors=True)
    out.unlink(missing_ok=True)
    config = ExtractConfig(
        dataset="demo", root=root, out=out, weights=WEIGHTS, devices=("cpu",), limit=tracklets, frames=FRAMES
    )
    extract(config)
    return (load_encode_seconds(out) or math.nan) / FRAMES
