"""An epoch of stage 2 beside an end-to-end epoch with CLIP frozen, per tracklet, default settings of each.

    python benchmarks/train_epoch_against_end_to_end.py

Ours is `vpar train` (width 512, batch 16) on a cache of random features, with loading. Theirs is a step of the
authors' code (width 768, batch 16, 6 frames, every frame and every prompt through CLIP in fp32) on decoded frames.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import open_clip
import torch
from authors_loop import BATCH, FRAMES, NUM_OUTPUTS, AuthorsTraining, encode_frame_by_frame, load_clip
from our_epoch import our_seconds_per_tracklet
from paired import timed, verdict
from random_inputs import write_cache

from vpar_cache.attributes.prompts import build_prompts
from vpar_cache.attributes.schema import MARS

TRACKLETS, REPEATS, TARGET = 800, 3, 200


def main() -> None:
    clip, training = load_clip(), AuthorsTraining()
    frames = torch.randn(BATCH, FRAMES, 3, 224, 224)
    labels = torch.randint(0, 2, (BATCH, NUM_OUTPUTS)).float()
    prompts = open_clip.get_tokenizer("ViT-B-16-quickgelu")(list(build_prompts(MARS, "words")))

    def their_step() -> None:
        visual = encode_frame_by_frame(clip, frames)  # (B, 197, 512)
        with torch.no_grad():
            text = clip.encode_text(prompts)  # (43, 512)
        training.step(visual, text, labels)

    ratios = []
    with tempfile.TemporaryDirectory(prefix="vpar-epoch-") as folder:
        index = write_cache(Path(folder) / "random.h5", TRACKLETS)
        for _ in range(REPEATS):
            theirs = timed(their_step) / BATCH
            ours = our_seconds_per_tracklet(index, Path(folder), device="cpu")
            ratios.append(theirs / ours)
            print(f"theirs {1 / theirs:.3f} tracklets/s, ours {1 / ours:.1f}: {ratios[-1]:.0f} times")
    verdict("an epoch of stage 2 against end to end, per tracklet", statistics.median(ratios), TARGET)


if __name__ == "__main__":
    main()
