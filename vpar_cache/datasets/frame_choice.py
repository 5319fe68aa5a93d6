"""Which frames of a tracklet are read, once for the plain features and once for each augmented view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from vpar_cache.base.hashing import canonical_json
from vpar_cache.datasets.tracklet import Tracklet

MAX_SHIFT = 10
"""Views are shifted by up to this many pixels, zero-filled, as padding by 10 and cropping does."""


def choose_frames(
    num_frames: int, count: int, sampling: str, seed: int = 0, tracklet_id: str = "", view: int = 0
) -> tuple[int, ...]:
    """Return `count` frame numbers in time order out of `num_frames`; a short tracklet repeats frames.

    uniform: frame i is floor((i + 0.5) num_frames / count). random: a draw that depends only on seed,
    tracklet and view, without replacement where there are enough frames.
    """
    if sampling == "uniform":
        return tuple((2 * i + 1) * num_frames // (2 * count) for i in range(count))
    random = _generator(seed, tracklet_id, view)
    chosen = random.choice(num_frames, size=count, replace=num_frames < count)
    return tuple(int(number) for number in np.sort(chosen))


@dataclass(frozen=True)
class Jitter:
    """How a view differs from the plain frames; the same for all its frames."""

    flip: bool
    shift_right: int
    shift_down: int


def choose_jitter(seed: int, tracklet_id: str, view: int) -> Jitter:
    """Return the flip and shift of a view; they depend only on seed, tracklet and view."""
    random = _generator(seed, f"jitter {tracklet_id}", view)
    right, down = random.integers(-MAX_SHIFT, MAX_SHIFT + 1, size=2)
    return Jitter(bool(random.integers(2)), int(right), int(down))


def _generator(seed: int, name: str, view: int) -> np.random.Generator:
    digest = blake3(f"{seed} {view} {name}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


@dataclass(frozen=True)
class Draw:
    """T frames of a tracklet, or all, and how they are jittered; the plain draw is not."""

    frames: tuple[str, ...]
    jitter: Jitter | None = None

    def distinct(self) -> tuple[str, ...]:
        """Return the F frames without repetitions, which a short tracklet has."""
        return tuple(dict.fromkeys(self.frames))

    def order(self) -> NDArray[np.int64]:
        """Return (T,) the place of each frame among the distinct ones."""
        places = {name: place for place, name in enumerate(self.distinct())}
        return np.array([places[name] for name in self.frames], np.int64)  # (T,)


@dataclass(frozen=True)
class Source:
    """A tracklet with its draws: the plain one first, then K views where it is a train tracklet."""

    tracklet: Tracklet
    draws: tuple[Draw, ...]

    def files(self) -> tuple[str, ...]:
        """Return the distinct frames that the draws need, in order of first use."""
        return tuple(dict.fromkeys(name for draw in self.draws for name in draw.frames))

    def identity(self) -> str:
        """Return the tracklet and the frames of every draw as text: other draws may use the same files."""
        return canonical_json([self.tracklet.tracklet_id, [draw.frames for draw in self.draws]])


def draw_source(tracklet: Tracklet, frames: int | None, sampling: str, views: int, seed: int) -> Source:
    """Return the tracklet with its draws: `frames` frames each (None: all), and `views` jittered
    draws in the train split."""

    def pick(how: str, view: int) -> tuple[str, ...]:
        if frames is None:
            return tracklet.frames
        chosen = choose_frames(len(tracklet.frames), frames, how, seed, tracklet.tracklet_id, view)
        return tuple(tracklet.frames[number] for number in chosen)

    numbers = range(1, views + 1) if tracklet.split == "train" else ()
    jittered = (Draw(pick("random", view), choose_jitter(seed, tracklet.tracklet_id, view)) for view in numbers)
    return Source(tracklet, (Draw(pick(sampling, 0)), *jittered))


def digest_source(source: Source, contents: Sequence[str]) -> str:
    """Return blake3 over a tracklet's id, the frames of its draws and the hashes of their contents."""
    hasher = blake3(source.identity().encode())
    for _, content in zip(source.files(), contents, strict=True):
        hasher.update(f"\n{content}".encode())
    return hasher.hexdigest()
