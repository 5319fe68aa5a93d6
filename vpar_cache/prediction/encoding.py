"""Encode frames of people as an extraction does: several tracks in one batch, each frame once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vpar_cache.backbones.encoder import EncodedBatch, Encoder
from vpar_cache.cache import format as fmt
from vpar_cache.datasets.decoding import fit_picture
from vpar_cache.datasets.frame_choice import choose_frames
from vpar_cache.prediction.tracks import Crop

DEFAULT_FRAMES = 6
"""T for videos where the run used all frames of a tracklet."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """The frames of one person, as the encoder takes them."""

    frames: NDArray[np.uint8]
    """(F, S, S, 3), each once."""
    counts: tuple[int, ...]
    """How often each of the F frames counts."""


class FrameEncoder:
    """An encoder with the frame rule of a run."""

    def __init__(
        self, encoder: Encoder, settings: dict[str, Any], reads: str, batch_size: int | None = None
    ) -> None:
        """`settings`: of the run's cache. `reads`: the array of a cache that the model reads."""
        self.encoder, self._reads = encoder, reads
        self._resize = str(settings["resize"])
        self._num_frames = None if settings["frames"] == "all" else int(settings["frames"])
        self.limit = encoder.batch_frames(batch_size)
        """Frames of a forward pass."""

    def prepare(self, crops: Sequence[Crop], counts: tuple[int, ...] = ()) -> Prepared:
        """Return the frames of one person. `counts`: as in Track."""
        size = self.encoder.image_size
        frames = [fit_picture(Image.fromarray(crop.picture), size, self._resize) for crop in crops]
        if not counts:
            wanted = self._num_frames or len(frames)
            often = Counter(choose_frames(len(frames), wanted, "uniform"))
            counts = tuple(often[number] for number in range(len(frames)))
        kept = [frame for frame, count in zip(frames, counts, strict=True) if count]
        return Prepared(np.stack(kept), tuple(count for count in counts if count))  # (F, S, S, 3)

    def encode(self, people: Sequence[Prepared]) -> list[EncodedBatch]:
        """Return the features of each person, in order."""
        if self._num_frames is None:
            return [self._mean_of_all(person) for person in people]
        alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for number, person in enumerate(people):
            alike[person.counts].append(number)
        found: dict[int, EncodedBatch] = {}
        for counts, numbers in alike.items():
            step = max(1, self.limit // len(counts))
            for start in range(0, len(numbers), step):
                part = numbers[start : start + step]
                frames = np.stack([people[number].frames for number in part])  # (B, F, S, S, 3)
                keep = self._reads == fmt.FRAME_TOKENS
                batch = self.encoder.encode_frames(frames, keep_frames=keep, counts=counts)
                found |= {number: batch.row(place) for place, number in enumerate(part)}
        return [_in_order(found[number], person.counts) for number, person in enumerate(people)]

    def rows(self, encoded: Sequence[EncodedBatch]) -> NDArray[np.float16]:
        """Return what the model reads of each person, (B, *row_shape)."""
        name = {fmt.VISUAL: "tokens", fmt.FRAME_EMBEDDINGS: "frame_embeddings", fmt.FRAME_TOKENS: "frame_tokens"}
        return np.stack([getattr(row, name[self._reads]) for row in encoded])  # (B, *row_shape)

    def _mean_of_all(self, person: Prepared) -> EncodedBatch:
        """Return the mean over all frames of a person, which may be too many for one batch."""
        frames = np.repeat(person.frames, person.counts, axis=0)  # (F, S, S, 3)
        sums = [self.encoder.sum_tokens(frames[i : i + self.limit]) for i in range(0, len(frames), self.limit)]
        total = sum(sums[1:], start=sums[0])  # (N, width)
        tokens = self.encoder.mean_of(total, len(frames))  # (N, D)
        return EncodedBatch(tokens, np.empty((0, tokens.shape[1]), np.float16), None)


def _in_order(row: EncodedBatch, counts: tuple[int, ...]) -> EncodedBatch:
    """Return one person's features with frames repeated as often as they count: T of them."""
    order = np.repeat(np.arange(len(counts)), counts)  # (T,)
    kept = None if row.frame_tokens is None else row.frame_tokens[order]  # (T, N, D)
    return EncodedBatch(row.tokens, row.frame_embeddings[order], kept)
