"""The ONNX graphs, computed by onnxruntime alone, beside what a run gives."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from torch import Tensor

from tests.support.encoders import make_encoder
from tests.support.tiny_clip import TINY_BACKBONE
from vpar_cache.errors import UserError
from vpar_cache.prediction.predictor import load_run
from vpar_cache.sharing.export import ExportConfig, export_run
from vpar_cache.sharing.graphs import TOLERANCE, Differences, HeadModule


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def answers(folder: Path, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """(B, A) of rows (B, *row_shape)."""
    head = session(folder / "head.onnx")
    (found,) = head.run(None, {head.get_inputs()[0].name: rows})
    return np.asarray(found)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.slow
def test_people_and_frames_may_be_any_number(exported: Path, count: int) -> None:
    run = load_run(exported).run
    rows = np.random.default_rng(0).standard_normal((count, *run.inputs.row_shape)).astype(np.float32)  # (B, N, D)
    np.testing.assert_allclose(answers(exported, rows), run.predict(rows.astype(np.float16)), atol=1e-6)
    pixels = np.random.default_rng(1).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)  # (F, 3, S, S)
    tokens, embeddings = session(exported / "encoder.onnx").run(None, {"pixels": pixels})
    frames = pixels.transpose(0, 2, 3, 1)[:, None]  # (F, 1, S, S, 3)
    expected = make_encoder(TINY_BACKBONE).encode_frames(frames)
    np.testing.assert_allclose(tokens, expected.tokens, atol=2e-3)  # float16
    np.testing.assert_allclose(embeddings, expected.frame_embeddings[:, 0], atol=2e-3)


@pytest.mark.slow
def test_the_head_rounds_as_a_cache_does(exported: Path) -> None:
    shape = load_run(exported).run.inputs.row_shape
    half = np.random.default_rng(0).standard_normal((4, *shape)).astype(np.float16)  # (B, N, D)
    near = half.astype(np.float32) * np.float32(1 + 2**-13)  # rounds to the same float16 numbers
    assert (near != half).any()
    np.testing.assert_array_equal(answers(exported, near), answers(exported, half.astype(np.float32)))


@pytest.mark.slow
def test_the_metadata_of_both_graphs_say_what_the_run_says(exported: Path) -> None:
    run = load_run(exported)
    for name in ("encoder.onnx", "head.onnx"):
        found = {
            key: json.loads(text)
            for key, text in session(exported / name).get_modelmeta().custom_metadata_map.items()
        }
        assert found["vpar.schema"] == run.schema.to_dict()
        assert found["vpar.outputs"] == [output.name for output in run.schema.outputs]
        assert found["vpar.thresholds"] == run.threshold.tolist()
        assert found["vpar.reads"] == run.run.reads
        assert found["vpar.frame_rule"] == {"frames": 3, "sampling": "uniform", "seed": None}
        assert found["vpar.preprocessing"]["mean"] == run.run.encoder["mean"]
        assert found["vpar.encoder"]["weights_digest"] == run.run.encoder["weights_digest"]
        assert found["vpar.random_weights"] is True


@pytest.mark.slow
def test_a_graph_that_differs_from_torch_is_an_error_and_nothing_is_kept(
    vtf_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = HeadModule.forward

    def wrong(module: HeadModule, rows: Tensor) -> Tensor:
        return right(module, rows) + 2 * TOLERANCE  # (B, A)

    monkeypatch.setattr(HeadModule, "forward", wrong)
    with pytest.raises(UserError, match=r"--onnx: head\.onnx differs from torch by 0\.0002"):
        export_run(ExportConfig(run=vtf_run, to=tmp_path / "out", onnx=True))
    assert not list(tmp_path.rglob("*.onnx"))


@pytest.mark.slow
def test_a_model_that_magnifies_the_rounding_is_kept_and_said(
    vtf_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Differences(encoder=1e-6, head=1e-7, pictures=2e-4)
    monkeypatch.setattr("vpar_cache.sharing.graphs.write_graphs", lambda *_: found)
    said: list[str] = []
    export_run(ExportConfig(run=vtf_run, to=tmp_path / "out", onnx=True), say=said.append)
    assert "0.0002 from drawn pictures" in said[-2]
    assert "more than 0.0001" in said[-1]
    assert (tmp_path / "out" / "config.json").is_file()


@pytest.mark.slow
def test_without_the_extra_one_line_says_what_to_install(
    vtf_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    missing: Any = lambda name, *rest: None if name == "onnxruntime" else find(name, *rest)  # noqa: E731
    monkeypatch.setattr("vpar_cache.sharing.graphs.find_spec", missing)
    with pytest.raises(UserError, match=r"--onnx needs onnxruntime; .*vpar-cache\[onnx\]"):
        export_run(ExportConfig(run=vtf_run, to=tmp_path / "out", onnx=True))


@pytest.mark.slow
def test_weights_of_a_large_encoder_go_into_a_file_of_their_own(
    vtf_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vpar_cache.sharing.graphs._LARGEST_FILE", 300_000)
    export_run(ExportConfig(run=vtf_run, to=tmp_path / "out", onnx=True))
    assert {path.name for path in (tmp_path / "out").glob("*.data")} == {"encoder.onnx.data"}
    assert (tmp_path / "out" / "encoder.onnx").stat().st_size < 300_000
    pixels = np.zeros((1, 3, 32, 32), np.uint8)  # (F, 3, S, S)
    assert session(tmp_path / "out" / "encoder.onnx").run(None, {"pixels": pixels})[0].shape == (1, 5, 32)
