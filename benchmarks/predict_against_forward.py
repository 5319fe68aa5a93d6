"""`vpar predict` on a video beside the bare forward pass of the frames that it encodes, on the CPU.

    python benchmarks/predict_against_forward.py [--video VIDEO --boxes BOXES]

Ours decodes the video, follows its people (with a box file, or by `motion` and bytetrack), chooses and prepares
frames, encodes them, asks the model, and writes a table. The bare side encodes the same frames, prepared
already, in full batches, with the same encoder. Both take turns in one process. Loading the run and its encoder
is counted on neither side. Without --video a drawn one is used. Status 1 above a limit. Needs the extra video.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from support.program import predict_video, small_predictor
from support.timing import compare_rates, option_parser, scratch_folder, timed, verdict

from vpar_cache.backbones.encoder import EncodedBatch
from vpar_cache.datasets.demo.video import encode_video, write_video
from vpar_cache.prediction.encoding import FrameEncoder, Prepared
from vpar_cache.prediction.predictor import Predictor

PEOPLE, DRAWN_FRAMES, REPEATS = 12, 100, 5
MOST_WITH_BOXES, MOST_WITH_MOTION = 1.15, 1.5


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--video", type=Path, help="In place of the drawn one.")
    parser.add_argument("--boxes", type=Path, help="Its box file.")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="Pairs of runs.")
    options = parser.parse_args()
    if (options.video is None) != (options.boxes is None):
        parser.error("--video and --boxes: give both or neither")
    with scratch_folder(options) as folder:
        predictor = small_predictor(folder)
        video, boxes = options.video, options.boxes
        if video is None:
            drawn = write_video(folder / "video", PEOPLE, DRAWN_FRAMES)
            video, boxes = encode_video(drawn, folder / "drawn.mp4"), drawn / "gt/gt.txt"
        out = folder / "people.parquet"
        with_boxes = times_bare_forward(predictor, video, boxes, out, options.repeats)
        with_motion = times_bare_forward(predictor, video, None, out, options.repeats, detector="motion")
    verdict("predicting a video with a box file, in bare forwards", with_boxes, MOST_WITH_BOXES, at_most=True)
    verdict("the same with motion and bytetrack", with_motion, MOST_WITH_MOTION, at_most=True)
    sys.exit(with_boxes > MOST_WITH_BOXES or with_motion > MOST_WITH_MOTION)


def times_bare_forward(
    predictor: Predictor, video: Path, boxes: Path | None, out: Path, repeats: int, **people: Any
) -> float:
    """Return the time of a prediction in bare forward passes of its frames: the median over pairs."""
    frames = encoded_frames(predictor, video, boxes, out, **people)
    encoder, batch = predictor.frames.encoder, predictor.frames.limit
    print(f"{video.name}: {len(frames)} frames are encoded in {encoder.precision}, {batch} at once", flush=True)

    def bare_forward() -> None:
        for start in range(0, len(frames), batch):
            encoder.encode_frames(frames[None, start : start + batch])  # (1, B, S, S, 3)

    def ours() -> None:
        print(predict_video(predictor, video, out, boxes, **people).summary, flush=True)

    return 1 / compare_rates(
        lambda: timed(ours) / len(frames),
        lambda: timed(bare_forward) / len(frames),
        repeats=repeats,
        unit="frames",
    )


def encoded_frames(
    predictor: Predictor, video: Path, boxes: Path | None, out: Path, **people: Any
) -> NDArray[np.uint8]:
    """Return the prepared frames (F, S, S, 3) that a prediction encodes."""
    seen: list[NDArray[np.uint8]] = []
    encode = FrameEncoder.encode

    def noting(self: FrameEncoder, given: Sequence[Prepared]) -> list[EncodedBatch]:
        seen.extend(person.frames for person in given)
        return encode(self, given)

    with patch.object(FrameEncoder, "encode", noting):
        predict_video(predictor, video, out, boxes, **people)
    return np.concatenate(seen)  # (F, S, S, 3)


if __name__ == "__main__":
    main()
