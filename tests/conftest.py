"""Small real things for the tests: a tiny CLIP, a small procedural dataset, a cache made of both."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

# Before torch is imported: sums depend on the number of threads, and two tests run at a time.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest

from tests.support.tiny_clip import TINY_BACKBONE, TINY_CLIP
from vpar_cache.datasets.demo.dataset import DemoSize, write_demo
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.runs.finished import PAPER_TEST_TRACKLETS

TINY_SIZE = DemoSize(train_people=6, test_people=3, tracklets_per_person=2, frames=4)


@pytest.fixture(scope="session", autouse=True)
def interrupts_arrive() -> None:
    """A shell starts background jobs with SIGINT ignored, and their children inherit it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real label files and tracklets; the test is skipped where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("VPAR_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set VPAR_TEST_DATA")
    return folder


@pytest.fixture
def small_paper_split(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let the test splits of the paper have 200 tracklets, so that runs on them are quick to make."""
    for dataset in ("mars", "duke"):
        monkeypatch.setitem(PAPER_TEST_TRACKLETS, dataset, 200)
    return 200


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a tiny open_clip architecture with CLIP's activation."""
    import open_clip

    path = tmp_path_factory.mktemp("architectures") / f"{TINY_BACKBONE}.json"
    path.write_text(json.dumps(TINY_CLIP), "utf-8")
    open_clip.add_model_config(path)
    return TINY_BACKBONE


@pytest.fixture(scope="session")
def demo_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 train and 6 test procedural tracklets of 4 frames. Read only: copy it before changing it."""
    return write_demo(tmp_path_factory.mktemp("demo") / "tracklets", TINY_SIZE, 0)


@pytest.fixture(scope="session")
def extract_config(tiny_backbone: str, demo_root: Path) -> Callable[..., ExtractConfig]:
    """Settings for a quick extraction of the small dataset; any of them can be replaced."""

    def make(out: Path, **changes: object) -> ExtractConfig:
        settings: dict[str, object] = {
            "dataset": "mars",
            "root": demo_root,
            "out": out,
            "devices": ("cpu",),
            "backbone": tiny_backbone,
            "weights": "random:0",
            "precision": "fp32",
            "frames": 2,
            "shard_size": 5,
            "workers": 2,
        }
        return ExtractConfig(**{**settings, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def tiny_cache(tmp_path_factory: pytest.TempPathFactory, extract_config: Callable[..., ExtractConfig]) -> Path:
    """The index of an extracted cache: 18 tracklets in 4 shards. Read only: copy it before changing it."""
    from vpar_cache.extraction.extract import extract

    return extract(extract_config(tmp_path_factory.mktemp("cache") / "tiny.h5")).index


@pytest.fixture
def extracted(tiny_cache: Path, tmp_path: Path) -> Path:
    """A copy of the extracted cache, to change, with its hints."""
    return Path(shutil.copytree(tiny_cache.parent, tmp_path / "cache")) / tiny_cache.name


@pytest.fixture(scope="session")
def tiny_run(tiny_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the linear model on the small cache. Read only."""
    runs = tmp_path_factory.mktemp("runs")
    from vpar_cache.training.config import TrainConfig
    from vpar_cache.training.train import train

    return train(TrainConfig(features=tiny_cache, runs=runs, model="linear", epochs=2, device="cpu")).folder


@pytest.fixture(scope="session")
def people(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each tracklet of the small dataset, with its frames. Read only."""
    from vpar_cache.datasets.mars import load_mars

    root = tmp_path_factory.mktemp("people")
    for tracklet in load_mars(demo_root).tracklets:
        folder = root / tracklet.tracklet_id
        folder.mkdir()
        for name in tracklet.frames:
            shutil.copy(tracklet.folder / name, folder / name)
    return root


@pytest.fixture(scope="session")
def example_folder(
    tmp_path_factory: pytest.TempPathFactory,
    extract_config: Callable[..., ExtractConfig],
    demo_root: Path,
    people: Path,
) -> Path:
    """A folder with the files that the examples of help and docs name. Read only: copy it."""
    pytest.importorskip("av")
    from tests.support.example_folder import write_example_folder

    root = tmp_path_factory.mktemp("examples")
    write_example_folder(root, extract_config, demo_root, people)
    return root
