"""Writes a short drawn video of people who walk through one scene, as a MOT sequence folder.

ROOT/img1/000001.jpg ..., ROOT/seqinfo.ini, ROOT/gt/gt.txt (frame,id,left,top,width,height,1,1,1) and
ROOT/truth.csv: the labels of each id in the label columns of MARS.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.random import default_rng
from PIL import Image, ImageDraw

from vpar_cache.base.files import atomic_path
from vpar_cache.datasets.demo.dataset import GROUND, TALL, write_labels
from vpar_cache.datasets.demo.people import balanced, cast_people
from vpar_cache.datasets.demo.person_drawing import draw_person

_WIDTH, _HEIGHT, _HORIZON = 640, 360, 150
_RATE = 10
"""Frames a second."""
_HEADINGS = ((0.0, 0.7), (0.8, 0.4), (1.0, 0.0), (0.8, -0.4), (0.0, -0.7))
"""Right and down, by pose: who shows the face comes nearer."""
_SPEEDS = (5.0, 10.0, 8.0, 0.0)
"""Pixels per frame by motion."""
_SIZES = (0.65, 0.85, 1.0, 0.97)
"""By age."""


def write_video(root: Path, people: int = 8, frames: int = 100, seed: int = 0) -> Path:
    """Draw a video of a fixed camera into `root` and return it; the same arguments give the same bytes.

    A person has a box in each frame that shows at least half of it; boxes are cut at the edge of the picture.
    """
    rng = default_rng((seed, 2))
    poses, motions = (balanced(shares, people, rng).tolist() for shares in ((0.2,) * 5, (0.5, 0.2, 0.2, 0.1)))
    walks, boxes = [], []
    for person, pose, motion in zip(cast_people(people, rng), poses, motions, strict=True):
        side, meets = int(rng.choice((-1, 1))), rng.uniform(0.2, 0.8) * frames  # when it is in the middle
        pace = [_SPEEDS[motion] * part for part in (side * _HEADINGS[pose][0], _HEADINGS[pose][1])]
        place = _WIDTH * rng.uniform(0.3, 0.7), rng.uniform(220, 330)
        labels = {**person.labels, "pose": pose, "motion": motion}
        walks.append((replace(person, labels=labels, mirrored=side < 0), pace, place, meets))
    for name in ("img1", "gt"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for frame in range(frames):
        image = Image.new("RGB", (2 * _WIDTH, 2 * _HEIGHT), (150, 140, 120))
        pen = ImageDraw.Draw(image)
        pen.rectangle((0, 2 * _HORIZON, 2 * _WIDTH, 2 * _HEIGHT), fill=(120, 112, 98))
        now = [
            [at + step * (frame - meets) for at, step in zip(place, pace, strict=True)]
            for _, pace, place, meets in walks
        ]
        for y, x, i in sorted((y, x, i) for i, (x, y) in enumerate(now) if y > _HORIZON):  # from far to near
            person = walks[i][0]
            tall = 0.45 * y * _SIZES[person.labels["age"]]
            draw_person(pen, person, (2 * x, 2 * y), 2 * tall, frame % 8 / 8)
            high = tall / TALL  # the box frames the person as a crop of the demo dataset does
            left, top = max(0, x - high / 4), max(0, y - GROUND * high)
            wide, height = min(_WIDTH, x + high / 4) - left, min(_HEIGHT, y + (1 - GROUND) * high) - top
            if wide > 0 and height > 0 and wide * height >= high**2 / 4:
                boxes.append(f"{frame + 1},{i + 1},{left:.1f},{top:.1f},{wide:.1f},{height:.1f},1,1,1\n")
        image.reduce(2).save(root / f"img1/{frame + 1:06d}.jpg", quality=92)
    (root / "gt/gt.txt").write_text("".join(boxes), "ascii", newline="\n")
    info = f"frameRate={_RATE}\nseqLength={frames}\nimWidth={_WIDTH}\nimHeight={_HEIGHT}\nimExt=.jpg\n"
    (root / "seqinfo.ini").write_text(f"[Sequence]\nname=demo\nimDir=img1\n{info}", "ascii", newline="\n")
    write_labels(root / "truth.csv", ["track_id"], [(walk[0], [i]) for i, walk in enumerate(walks, 1)])
    return root


def encode_video(root: Path, out: Path) -> Path:
    """Write the frames of `write_video` as an H.264 video and return it. Needs PyAV, of the extra `video`."""
    import av

    with atomic_path(out) as partial, av.open(str(partial), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=_RATE)
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        stream.options = {"crf": "18", "preset": "veryfast"}
        for path in sorted((root / "img1").iterdir()):
            with Image.open(path) as image:
                picture = np.asarray(image)  # (H, W, 3)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return out
