"""`vpar extract` from JPEG to published shard beside the authors' way to encode: one frame at a time, in fp32.

    python benchmarks/extract_against_frame_by_frame.py

Theirs encodes frames that are decoded already. The target is 3 where the processor has bf16 instructions, else
1.1.
"""

from __future__ import annotations

import torch
from support.authors_code import encode_frame_by_frame, load_clip
from support.program import extract_seconds_per_frame, is_bf16
from support.random_caches import FRAMES
from support.timing import compare_rates, option_parser, scratch_folder, timed, verdict

TRACKLETS, THEIR_TRACKLETS, REPEATS = 24, 4, 5


def main() -> None:
    options = option_parser(__doc__).parse_args()
    clip = load_clip()
    frames = torch.randn(THEIR_TRACKLETS, FRAMES, 3, 224, 224)  # (B, T, 3, 224, 224)
    with scratch_folder(options) as folder:
        ratio = compare_rates(
            lambda: extract_seconds_per_frame(
                "demo", folder / "demo", folder / "cache" / "demo.h5", "cpu", limit=TRACKLETS
            ),
            lambda: timed(lambda: encode_frame_by_frame(clip, frames)) / (THEIR_TRACKLETS * FRAMES),
            repeats=REPEATS,
            unit="frames",
        )
    target = 3 if is_bf16(torch.device("cpu")) else 1.1
    verdict("extraction on CPU against frame by frame in fp32", ratio, target)


if __name__ == "__main__":
    main()
