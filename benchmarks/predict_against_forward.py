"""`vpar predict` on a video beside the bare forward pass of the frames that it encodes, on the CPU.

    python benchmarks/predict_against_forward.py [--video VIDEO --boxes BOXES]

Ours decodes the video, follows its people (with a box file, or by `motion` and bytetrack), chooses and prepares
frames, encodes them, asks the model, and writes a table. The bare side encodes the same frames, prepared
already, in full batches, with the same encoder. Both take turns in one process. Loading the run and its encoder
is counted on neither side. Without --video a drawn one is used. Status 1 above a limit. Needs the extra video.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from support.program import predict_video, small_predictor
from support.timing import alternate, median_seconds, option_parser, scratch_folder, verdict

from vpar_cache.backbones.encoder import EncodedBatch
from vpar_cache.datasets.demo.video import encode_video, write_video
from vpar_cache.prediction.encoding import FrameEncoder, Prepared
from vpar_cache.prediction.predictor import Predictor

PEOPLE, DRAWN_FRAMES, REPEATS = 24, 100, 5
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
        with_boxes = compare(predictor, video, boxes, folder / "people.parquet")
        with_motion = compare(predictor, video, None, folder / "people.parquet", detector="motion")
    verdict("predicting a video with a box file, times the bare forward", with_boxes, MOST_WITH_BOXES, at_most=True)
    verdict("with motion and bytetrack, times the bare forward", with_motion, MOST_WITH_MOTION, at_most=True)
    sys.exit(with_boxes > MOST_WITH_BOXES or with_motion > MOST_WITH_MOTION)


def compare(predictor: Predictor, video: Path, boxes: Path | None, out: Path, **people: Any) -> float:
    """Return the median over pairs of the time of a prediction, in bare forward passes of its frames."""
    frames = encoded_frames(predictor, video, boxes, out, **people)
    encoder, batch = predictor.frames.encoder, predictor.frames.limit

    def bare_forward() -> None:
        for start in range(0, len(frames), batch):
            encoder.encode_frames(frames[None, start : start + batch])  # (1, B, S, S, 3)

    def ours() -> None:
        print(predict_video(predictor, video, out, boxes, **people).summary, flush=True)

    pairs = alternate(ours, bare_forward, repeats=REPEATS)
    seconds, bare = median_seconds(pairs)
    ratios = [ours / theirs for ours, theirs in pairs]
    print(
        f"{video.name}, {'motion' if boxes is None else 'boxes'}: {len(frames)} frames, {encoder.precision}, batches "
        f"of {batch}: {seconds:.2f} s, bare forward {bare:.2f} s; ratios {json.dumps([round(r, 3) for r in ratios])}",
        flush=True,
    )
    return statistics.median(ratios)


def encoded_frames(predictor: Predictor, *of_video: Any, **people: Any) -> NDArray[np.uint8]:
    """Return the prepared frames (F, S, S, 3) that a prediction encodes."""
    seen: list[NDArray[np.uint8]] = []
    encode = FrameEncoder.encode

    def noting(self: FrameEncoder, given: Sequence[Prepared]) -> list[EncodedBatch]:
        seen.extend(person.frames for person in given)
        return encode(self, given)

    video, boxes, out = of_video
    with patch.object(FrameEncoder, "encode", noting):
        predict_video(predictor, video, out, boxes, **people)
    return np.concatenate(seen)  # (F, S, S, 3)


if __name__ == "__main__":
    main()
