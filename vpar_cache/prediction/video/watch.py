"""The progress of a call: frames of the video that is read, of how many, and the people so far."""

from __future__ import annotations

from typing import Any, Self

from vpar_cache.base.callbacks import Stop, check_stop, never
from vpar_cache.base.progress import progress
from vpar_cache.prediction.video.frames import FrameSource


class Watch:
    """A bar for the frames of each video, and one for the people of pictures. A context manager."""

    def __init__(self, desc: str, stop: Stop = never) -> None:
        """`stop`: asked in each frame."""
        self._desc, self._stop = desc, stop
        self._video: FrameSource | None = None
        self._people = 0
        self._bar: Any = None

    def on_frame(self, video: FrameSource) -> None:
        """Count a frame. Raises Stopped."""
        check_stop(self._stop)
        if video is not self._video:
            self.close()
            self._video = video
            self._bar = progress(total=video.length, unit="frame", desc=f"{self._desc} {video.path.name}")
            self._tell()
        self._bar.update()

    def on_people(self, count: int) -> None:
        """Count people whose answers are known."""
        if self._bar is None:
            self._bar = progress(initial=self._people, unit="person", desc=self._desc)
        self._people += count
        if self._video is None:
            self._bar.update(count)
        else:
            self._tell()

    def end_video(self) -> None:
        """End the bar of a video, if one was read."""
        if self._video is not None:
            self.close()

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
        self._bar = self._video = None

    def _tell(self) -> None:
        if self._people:
            self._bar.set_postfix_str(f"people: {self._people}", refresh=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
