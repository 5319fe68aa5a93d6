"""README.md of an exported run: the run's model card, with the front matter that a model hub reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from huggingface_hub import EvalResult, ModelCardData

from vpar_cache.metrics.scoring import protocols_of
from vpar_cache.runs.finished import FinishedRun
from vpar_cache.sharing.config import ENCODER_GRAPH, HEAD_GRAPH, LIBRARY

_TASKS = {"tracklet": "video-classification", "image": "image-classification"}
_TAGS = ("pedestrian-attribute-recognition", "clip")
_RANDOM = "random-weights"
_WARNING = """\
> **The encoder of this model has random weights.** Its answers and scores have no meaning.

"""
_USE = """
## Use

```sh
vpar predict --run OWNER/NAME pictures
```

```python
import vpar_cache

run = vpar_cache.load_run("OWNER/NAME")
print(run.predict("pictures").to_pylist())
```

`OWNER/NAME` is the place of this folder on the model hub, or the path of the folder. The weights of the frozen
encoder are not in `model.safetensors`, but in the encoder's own place; their digest is checked.
"""
_GRAPHS = f"""
`{ENCODER_GRAPH}` (with those weights) and `{HEAD_GRAPH}` are the same in ONNX; what they read and return is in \
their metadata.
"""


def hub_card(tests: Sequence[FinishedRun], card: str, license: str, with_graphs: bool) -> str:
    """Return Markdown with front matter.

    `tests`: the run once for each of its test sets, see runs.finished.read_runs. `card`: card.md of the run.
    `license`: its identifier on the hub.
    """
    run = tests[0]
    data = ModelCardData(
        library_name=LIBRARY,
        license=license,
        tags=[*_TAGS, *(["onnx"] if with_graphs else []), *([_RANDOM] if run.random_weights else [])],
        datasets=run.trained_datasets,
        model_name=run.name,
        eval_results=[result for test in tests for result in _results(test)],
    )
    warning = _WARNING if run.random_weights else ""
    return f"---\n{data.to_yaml()}\n---\n\n{warning}{card.rstrip()}\n{_USE}{_GRAPHS if with_graphs else ''}"


def _results(test: FinishedRun) -> Iterator[EvalResult]:
    """Yield the average F1 under each protocol, in percent, with the best constant beside it."""
    for name in protocols_of(test.unit):
        scores, constant = test.scores[name], test.constant_of(name, None, "f1")
        beside = "not known" if constant is None else f"{100 * constant:.2f}"
        mark = ", RANDOM WEIGHTS" if test.random_weights else ""
        args = {"protocol": name, "threshold": scores.threshold}
        yield EvalResult(
            task_type=_TASKS[test.unit],
            dataset_type=test.dataset,
            dataset_name=test.place,
            dataset_split=test.split,
            metric_type="f1",
            metric_name=f"F1 under {name} in percent (best constant, which sees no image: {beside}){mark}",
            metric_value=round(100 * scores.average["f1"], 2),
            metric_args=args if constant is None else {**args, "best_constant": round(100 * constant, 2)},
        )
