"""Chooses the frames of a tracklet, once for the plain features and once for each augmented view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from blake3 import blake3

from vpar_cache.base.settings import canonical_json
from vpar_cache.datasets.frames import Jitter, choose_frames, choose_jitter
from vpar_cache.datasets.tracklet import Tracklet


@dataclass(frozen=True)
class Draw:
    """T frames of a tracklet, or all, and how they are jittered; the plain draw is not."""

    frames: tuple[str, ...]
    jitter: Jitter | None = None


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
