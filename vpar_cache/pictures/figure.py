"""`vpar figure`: pictures of what a run predicts for tracklets, and of where an attribute looks.

The frames are read from the dataset's folder, since neither cache nor run holds an image. Pictures show people:
they are written to --out and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vpar_cache.attributes.schema import Schema
from vpar_cache.base.checks import check_new_file
from vpar_cache.cache.joined import JoinedFeatures, open_joined
from vpar_cache.datasets.decoding import decode_frame, decode_image
from vpar_cache.datasets.loaders import load_dataset
from vpar_cache.datasets.loading import read_frame
from vpar_cache.datasets.tracklet import Tracklet
from vpar_cache.errors import CacheError, UserError, nearest
from vpar_cache.models.fusion import FusionTransformer
from vpar_cache.pictures.drawing import AttentionMap, Case, draw_attention, draw_cases
from vpar_cache.pictures.sheet import FORMATS
from vpar_cache.runs.finished import FinishedRun, find_runs, read_runs
from vpar_cache.runs.load import load_run
from vpar_cache.runs.predictions import RunPredictions, read_test_predictions

NUM_PICTURED = 4
"""The number of tracklets, if none is named."""
NUM_FRAMES = 3
"""Of a tracklet; one with fewer frames shows each once."""
MAX_TRACKLETS, MAX_OUTPUTS = 12, 8
"""A picture with more cannot be read."""
_ATTENTION_SIZE = 224


@dataclass(frozen=True, kw_only=True)
class FigureConfig:
    """What to draw, and from what."""

    run: Path
    runs: Path = Path("cache/runs")
    dataset: str
    root: Path
    out: Path
    """The PNG, PDF or SVG to write."""
    overwrite: bool = False
    """Replace a file of that name."""
    labels: Path | None = None
    test_labels: Path | None = None
    group: str | None = None
    follow_links: Path | None = None
    """Links to frames are followed into this folder."""
    schema: str | None = None
    """Of folder and images, as in an extraction; None: mars, of images each column of the label file."""
    seed: int = 0
    """Of the demo's drawings."""
    tracklets: tuple[str, ...] = ()
    """Test tracklets by id; none: NUM_PICTURED, evenly spread."""
    attention: tuple[str, ...] = ()
    """Outputs by name, as in `backpack`: draw where these look, instead of predictions."""
    features: tuple[Path, ...] = ()
    """The run's caches, for attention; none: those that run.json names."""

    def __post_init__(self) -> None:
        if self.out.suffix.lower() not in FORMATS:
            raise UserError(
                f"--out: got {str(self.out)!r}; expected a name that ends in {', '.join(FORMATS)}. Add the ending"
            )
        check_new_file("--out", self.out, self.overwrite)
        if len(self.tracklets) > MAX_TRACKLETS:
            raise UserError(
                f"--tracklet: got {len(self.tracklets)} tracklets; expected at most {MAX_TRACKLETS}. Draw several "
                "pictures"
            )
        if len(self.attention) > MAX_OUTPUTS:
            raise UserError(
                f"--attention: got {len(self.attention)} outputs; expected at most {MAX_OUTPUTS}. Draw several "
                "pictures"
            )


def draw_figure(config: FigureConfig) -> Path:
    """Write the picture and return its path. Raises UserError, DataError or CacheError."""
    tests = read_runs(find_runs([config.run], config.runs)[0])
    dataset = load_dataset(
        config.dataset,
        config.root,
        config.labels,
        config.schema,
        config.seed,
        config.follow_links,
        config.test_labels,
        config.group,
    )
    known = {tracklet.tracklet_id: tracklet for tracklet in dataset.tracklets}
    run, predictions = _test_set(config, tests, known)
    chosen = _choose(predictions.tracklet_ids, config.tracklets, str(run.folder))
    ids = [predictions.tracklet_ids[row] for row in chosen]
    if missing := [name for name in ids if name not in known]:
        raise UserError(f"--root: tracklet {missing[0]!r} is not in {config.root}. Name the dataset of the run")
    tracklets = [known[name] for name in ids]
    mark = f" ({run.weights.partition(':')[0]} weights)" if run.random_weights else ""
    if config.attention:
        features = open_joined(config.features or run.caches())
        return _attention(config, run, features, tracklets, predictions, chosen, mark)
    cases = [
        Case(
            tracklet.tracklet_id,
            shown_frames(tracklet),
            predictions.probabilities[row].astype(np.float32),
            predictions.labels[row].astype(np.uint8),
        )
        for tracklet, row in zip(tracklets, chosen, strict=True)
    ]
    title = f"{run.name}: prediction with its probability, and the truth where it is wrong{mark}"
    return draw_cases(cases, run.schema, _thresholds(run), title, config.out)


def _test_set(
    config: FigureConfig, tests: Sequence[FinishedRun], known: Mapping[str, Tracklet]
) -> tuple[FinishedRun, RunPredictions]:
    """Return the test set of the run whose tracklets lie in --root, and its predictions.

    Ids may repeat between two datasets, so that the labels must agree, too.
    """
    if len(tests) == 1:
        return tests[0], read_test_predictions(tests[0])
    for run in tests:
        found = read_test_predictions(run)
        if all(
            name in known and np.array_equal(known[name].labels, labels)
            for name, labels in zip(found.tracklet_ids, found.labels, strict=True)
        ):
            return run, found
    raise UserError(
        f"--root: got {config.root}; expected all test tracklets, with their labels, of one of "
        f"{', '.join(run.dataset for run in tests)}, on which {tests[0].folder} was tested. Name the folder of one"
    )


def _thresholds(run: FinishedRun) -> NDArray[np.float32]:
    """Return the run's threshold for each output, (A,). Raises CacheError where one is missing."""
    names = [output.name for output in run.schema.outputs]
    if missing := [name for name in names if name not in run.thresholds]:
        raise CacheError(f"{run.folder}/run.json: thresholds has none for {missing[0]!r}. Train the run again")
    return np.array([run.thresholds[name] for name in names], np.float32)  # (A,)


def _choose(ids: Sequence[str], wanted: Sequence[str], where: str) -> list[int]:
    """Return the numbers of the rows to draw."""
    if not wanted:
        count = min(NUM_PICTURED, len(ids))
        return [(2 * i + 1) * len(ids) // (2 * count) for i in range(count)]
    for name in wanted:
        if name not in ids:
            raise UserError(f"--tracklet {name!r} is not a test tracklet of {where}. {nearest(name, ids)}")
    return [ids.index(name) for name in wanted]


def shown_frames(tracklet: Tracklet) -> list[NDArray[np.uint8]]:
    """Return at most NUM_FRAMES frames, evenly spread, each (H, W, 3)."""
    count, drawn = len(tracklet.frames), min(NUM_FRAMES, len(tracklet.frames))
    names = [tracklet.frames[(2 * i + 1) * count // (2 * drawn)] for i in range(drawn)]
    return [np.asarray(decode_image(read_frame(tracklet, name))) for name in names]


def _attention(
    config: FigureConfig,
    run: FinishedRun,
    features: JoinedFeatures,
    tracklets: Sequence[Tracklet],
    predictions: RunPredictions,
    chosen: Sequence[int],
    mark: str,
) -> Path:
    if run.features_seal != features.seal:
        raise CacheError(
            f"--features: got {features.where}; expected what {run.folder} was trained on. Name its caches, in "
            "their order"
        )
    loaded = load_run(run.folder)
    model = loaded.model
    if not isinstance(model, FusionTransformer):
        raise UserError(
            f"--attention: got {run.name}, a run of {run.model}; expected one of vtf, vtf-temporal or vtb, which "
            "have a fusion Transformer. Name such a run"
        )
    outputs = [_output(name, run.schema) for name in config.attention]
    place = {
        (dataset, name): row
        for row, (dataset, name) in enumerate(
            zip(features.datasets_of(np.arange(len(features))), features.tracklet_ids, strict=True)
        )
    }
    rows = np.array([place[run.dataset, tracklet.tracklet_id] for tracklet in tracklets])  # (B,)
    tokens = torch.from_numpy(features.arrays[loaded.reads].gather(rows).astype(np.float32))  # (B, *row_shape)
    with torch.inference_mode():
        weights = model.attention(tokens, torch.from_numpy(features.text))  # (B, A, N)
    maps = (
        weights[:, outputs, features.prefix_tokens :].unflatten(2, features.grid).numpy()
    )  # (B, k, rows, columns)
    names = [output.name for output in run.schema.outputs]
    resize = str(features.visual_config.get("resize", "pad"))
    drawn = []
    for number, (tracklet, row) in enumerate(zip(tracklets, chosen, strict=True)):
        middle = tracklet.frames[len(tracklet.frames) // 2]
        frame = decode_frame(read_frame(tracklet, middle), _ATTENTION_SIZE, resize)  # (S, S, 3)
        titled = [
            AttentionMap(
                f"{names[output]}\n{100 * predictions.probabilities[row, output]:.0f} %, truth: "
                f"{'yes' if predictions.labels[row, output] else 'no'}",
                maps[number, position],
            )
            for position, output in enumerate(outputs)
        ]
        drawn.append((tracklet.tracklet_id, frame, titled))
    title = f"{run.name}: attention of the last block, mean over frames, on the middle frame{mark}"
    return draw_attention(drawn, title, config.out)


def _output(name: str, schema: Schema) -> int:
    names = [output.name for output in schema.outputs]
    if name not in names:
        raise UserError(f"--attention {name!r} is not an output of {schema.name}. {nearest(name, names)}")
    return names.index(name)
