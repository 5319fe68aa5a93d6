"""An epoch of stage 2 beside an end-to-end epoch with CLIP frozen, per tracklet, default settings of each.

    python benchmarks/train_epoch_against_end_to_end.py

Ours is `vpar train` (width 512, batch 16) on a cache of random features, loading included. Theirs is a step of
the authors' code (width 768, batch 16, 6 frames, every frame and every prompt through CLIP in fp32) on decoded
frames.
"""

from __future__ import annotations

import open_clip
import torch
from support.authors_code import BATCH, NUM_OUTPUTS, AuthorsTraining, encode_frame_by_frame, load_clip
from support.program import epoch_seconds_per_tracklet
from support.random_caches import FRAMES, write_cache
from support.timing import compare_rates, option_parser, scratch_folder, timed, verdict

from vpar_cache.attributes.mars_table import MARS
from vpar_cache.attributes.prompts import build_prompts

TRACKLETS, REPEATS, TARGET = 800, 3, 200


def main() -> None:
    options = option_parser(__doc__).parse_args()
    clip, training = load_clip(), AuthorsTraining()
    frames = torch.randn(BATCH, FRAMES, 3, 224, 224)  # (B, T, 3, 224, 224)
    labels = torch.randint(0, 2, (BATCH, NUM_OUTPUTS)).float()
    prompts = open_clip.get_tokenizer("ViT-B-16-quickgelu")(list(build_prompts(MARS, "words")))  # (43, 77)

    def their_step() -> None:
        visual = encode_frame_by_frame(clip, frames)  # (B, 197, 512)
        with torch.no_grad():
            text = clip.encode_text(prompts)  # (43, 512)
        training.step(visual, text, labels)

    with scratch_folder(options) as folder:
        index = write_cache(folder / "random.h5", TRACKLETS)
        ratio = compare_rates(
            lambda: epoch_seconds_per_tracklet(index, folder),
            lambda: timed(their_step) / BATCH,
            repeats=REPEATS,
            unit="tracklets",
            warm_up=False,
        )
    verdict("an epoch of stage 2 against end to end, per tracklet", ratio, TARGET)


if __name__ == "__main__":
    main()
