"""From tracks to rows: frames of several people are encoded together, then the model answers."""

from __future__ import annotations

import io
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vpar_cache.backbones.encoder import EncodedBatch
from vpar_cache.prediction.answers import Answering
from vpar_cache.prediction.encoding import FrameEncoder, Prepared
from vpar_cache.prediction.rows import PersonRow, Segment
from vpar_cache.prediction.tracks import Crop, Track, Window

_THUMBNAIL = 128
"""Longest side of a thumbnail, in pixels."""
_THUMBNAILS = 6


class Describer:
    """Collects tracks and windows until a batch of frames is full, and answers for all of them."""

    def __init__(
        self,
        frames: FrameEncoder,
        model: Callable[[Sequence[EncodedBatch]], NDArray[np.float32]],
        answering: Answering,
        changing: Sequence[str] = (),
        with_thumbnails: bool = False,
    ) -> None:
        """`model`: maps B encoded people to probabilities (B, A). `changing`: groups that get segments."""
        self._frames, self._model, self._answering = frames, model, answering
        self._changing, self._with_thumbnails = changing, with_thumbnails
        self._pending: list[tuple[Track | Window, Prepared]] = []
        self._windows: dict[str, list[tuple[Window, NDArray[np.float32]]]] = defaultdict(list)
        self.num_frames = 0
        """That were encoded."""
        self.seconds = 0.0
        """In the encoder and the model."""
        self.encoded: Callable[[Track, EncodedBatch], object] = lambda track, row: None
        """Called with the features of each track."""

    def add(self, item: Track | Window) -> list[PersonRow]:
        """Take in a track, or a part of one; return the rows that are finished."""
        counts = item.counts if isinstance(item, Track) else ()
        prepared = self._frames.prepare(item.crops, counts)
        held = sum(len(other.frames) for _, other in self._pending)
        rows = self.flush() if held + len(prepared.frames) > self._frames.limit else []
        self._pending.append((item, prepared))
        return rows

    def flush(self) -> list[PersonRow]:
        """Return the rows of all tracks that were taken in."""
        if not self._pending:
            return []
        started = time.monotonic()
        items = [item for item, _ in self._pending]
        encoded = self._frames.encode([prepared for _, prepared in self._pending])
        found = self._model(encoded)[:, self._answering.columns]  # (B, A shown)
        self.num_frames += sum(len(prepared.frames) for _, prepared in self._pending)
        self.seconds += time.monotonic() - started
        self._pending = []
        rows = []
        for item, features, probabilities in zip(items, encoded, found, strict=True):
            if isinstance(item, Window):
                self._windows[item.tracklet_id].append((item, probabilities))
            else:
                self.encoded(item, features)
                rows.append(self._row(item, probabilities))
        return rows

    def _row(self, track: Track, probabilities: NDArray[np.float32]) -> PersonRow:
        """Return the row of a track from probabilities (A shown,)."""
        return PersonRow(
            tracklet_id=track.tracklet_id,
            source=track.source,
            track_id=track.track_id,
            first_frame=track.first_frame,
            last_frame=track.last_frame,
            first_second=track.first_second,
            last_second=track.last_second,
            frames_used=len(track.crops),
            answers=self._answering.answer(probabilities),
            probabilities=tuple(probabilities.tolist()),
            segments=tuple(self._segments(self._windows.pop(track.tracklet_id, []))),
            thumbnails=thumbnails(track.crops) if self._with_thumbnails else (),
        )

    def _segments(self, windows: list[tuple[Window, NDArray[np.float32]]]) -> Iterator[Segment]:
        """Yield the parts in which a changing group has one value: neighbouring windows with equal values."""
        answers = [(window, self._answering.answer(found)) for window, found in windows]
        for place, group in enumerate(self._answering.schema.groups):
            if group.name not in self._changing:
                continue
            for value, same in groupby(answers, key=lambda item, place=place: item[1][place].value):  # type: ignore[misc]
                parts = list(same)
                first, last = parts[0][0], parts[-1][0]
                mean = float(np.mean([found[place].probability for _, found in parts]))
                yield Segment(
                    group.name,
                    value,
                    mean,
                    first.first_frame,
                    last.last_frame,
                    first.first_second,
                    last.last_second,
                )


def thumbnails(crops: Sequence[Crop]) -> tuple[bytes, ...]:
    """Return up to _THUMBNAILS of the crops, spread evenly, as JPEG."""
    step = max(1.0, len(crops) / _THUMBNAILS)
    chosen = [crops[int(i * step)] for i in range(min(len(crops), _THUMBNAILS))]
    files = []
    for crop in chosen:
        image = Image.fromarray(np.ascontiguousarray(crop.picture))
        image.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BICUBIC)
        file = io.BytesIO()
        image.save(file, "JPEG", quality=85)
        files.append(file.getvalue())
    return tuple(files)
