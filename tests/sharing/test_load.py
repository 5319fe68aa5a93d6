"""An exported folder gives what its run gave, and nothing where it was changed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.sharing.conftest import MakeRun, edit_json
from tests.support.hub_cache import fill_hub_cache
from vpar_cache.errors import CacheError, UserError
from vpar_cache.prediction.predictor import load_run
from vpar_cache.sharing.export import ExportConfig, export_run


def probabilities(run: str | Path, people: Path) -> np.ndarray:
    """(B, A) of the folders in `people`."""
    table = load_run(run, device="cpu", precision="fp32", offline=True).predict(people, one_person=True)
    return np.array(table["probabilities"].to_pylist())


@pytest.mark.parametrize(
    ("backbone", "model", "settings"),
    [
        (None, "vtf", {}),
        (None, "vtf", {"parts": "learned", "tune_text": True, "logit_norm": True, "layers": 2}),
        (None, "vtf-temporal", {}),
        (None, "linear", {}),
        (None, "videopar", {}),
        (None, "3dcnn", {}),
        (None, "zero-shot", {}),
        (None, "prior", {}),
        ("timm:resnet18", "linear", {}),
        ("timm:resnet18", "cnn-rnn", {}),
        ("timm:vit_tiny_patch16_224", "videopar-image", {}),
    ],
)
@pytest.mark.slow
def test_a_copy_of_an_exported_folder_gives_exactly_what_its_run_gave(
    backbone: str | None, model: str, settings: dict[str, Any], make_run: MakeRun, people: Path, tmp_path: Path
) -> None:
    run = make_run(**{"backbone": backbone} if backbone else {}, model=model, **settings)
    expected = probabilities(run, people)
    own = Path(shutil.copytree(run, tmp_path / "run"))
    export_run(ExportConfig(run=own, to=tmp_path / "first"))
    shutil.rmtree(own)
    shutil.move(tmp_path / "first", tmp_path / "second")
    np.testing.assert_array_equal(probabilities(tmp_path / "second", people), expected)
    assert len({tuple(row) for row in expected}) > 1 or model == "prior"


@pytest.mark.slow
def test_all_of_a_run_that_predictions_need_is_the_same(vtf_run: Path, exported: Path) -> None:
    run, other = load_run(vtf_run), load_run(exported)
    assert (other.schema, other.mark, other.num_frames) == (run.schema, run.mark, run.num_frames)
    assert other.threshold.tolist() == run.threshold.tolist()
    assert other.run.encoder == run.run.encoder


def test_weights_of_a_file_are_asked_for_and_its_name_is_never_opened(
    own_copy: Path, people: Path, tmp_path: Path
) -> None:
    def rename(metadata: dict[str, Any]) -> None:
        metadata["encoder"]["weights"] = str(tmp_path / "here.safetensors")

    (tmp_path / "here.safetensors").touch()
    change_metadata(own_copy, rename)
    with pytest.raises(UserError, match=r"--weights is missing.*here\.safetensors"):
        load_run(own_copy, device="cpu").predict(people)


def change_metadata(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change what model.safetensors says, and config.json as its author could."""
    path = folder / "model.safetensors"
    with safe_open(path, "pt") as file:
        metadata = json.loads(file.metadata()["vpar"])
    edit(metadata)
    save_file(load_file(path), path, {"vpar": json.dumps(metadata)})
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["encoder"] = {name: metadata["encoder"][name] for name in config["encoder"]}
    config["sha256"]["model.safetensors"] = sha256(path)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["normalize", "resize"])
def test_a_setting_of_the_encoder_that_is_missing_is_named(name: str, own_copy: Path, people: Path) -> None:
    change_metadata(own_copy, lambda metadata: metadata["encoder"].pop(name))
    with pytest.raises(CacheError, match=name):
        load_run(own_copy, device="cpu", offline=True).predict(people)


def test_pictures_are_read_where_the_run_does_not_say_how_libraries_read_them(
    own_copy: Path, people: Path
) -> None:
    change_metadata(own_copy, lambda metadata: metadata["encoder"].pop("decoded_samples"))
    assert len(load_run(own_copy, device="cpu", offline=True).predict(people))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "one byte", "link", "pipe", "folder"])
def test_a_damaged_file_is_an_error_of_one_line_that_names_it(name: str, damage: str, own_copy: Path) -> None:
    path = own_copy / name
    data = path.read_bytes()
    path.unlink()
    if damage == "empty":
        path.touch()
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "one byte":
        path.write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
    elif damage == "link":
        (own_copy / "other").write_bytes(data)
        path.symlink_to("other")
    elif damage == "pipe":
        os.mkfifo(path)
    elif damage == "folder":
        path.mkdir()
    with pytest.raises(CacheError, match=name.replace(".", r"\.")) as error:
        load_run(own_copy)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"library_name": "other"}, "library_name"),
        ({"format": 2}, "format"),
        ({"reads": "frame_tokens"}, "reads"),
        ({"reads": "../x"}, "reads"),
        ({"outputs": ["a"]}, "outputs"),
        ({"thresholds": {}}, "thresholds"),
        ({"thresholds": {"hat": 2.0}}, r"thresholds\.hat"),
        ({"schema": {"name": "x"}}, "schema"),
        ({"schema": None}, "schema"),
        ({"random_weights": False}, "random_weights"),
        ({"sha256": {}}, "SHA-256"),
        ({"sha256": {"model.safetensors": "../../x"}}, r"sha256\.model"),
        ({"settings": {"model": "vtf", "dim": 10**9}}, r"settings\.dim"),
        ({"settings": {"model": "vtf", "dim": 64}}, "settings"),
        ({"encoder": None}, "encoder"),
        ({"frame_rule": {"frames": 0, "sampling": "uniform", "seed": None}}, r"frame_rule\.frames"),
    ],
)
def test_a_changed_config_is_refused_by_field(changes: dict[str, Any], field: str, own_copy: Path) -> None:
    edit_json(own_copy / "config.json", **changes)
    with pytest.raises(CacheError, match=rf"(config\.json|model\.safetensors): .*{field}"):
        load_run(own_copy)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda m: m["settings"].update(dim=10**9), r"dim: got 1000000000"),
        (lambda m: m["settings"].update(layers=10**9), r"layers: got"),
        (lambda m: m["settings"].update(layers=2), r"Missing key"),
        (lambda m: m["settings"].update(dim=64), r"size mismatch"),
        (lambda m: m["settings"].update(model="os.system"), "unknown"),
        (lambda m: m["inputs"].update(row_shape=[5, 10**12]), r"row_shape\.1: got"),
        (lambda m: m.update(thresholds=[2.0]), "thresholds"),
        (lambda m: m["thresholds"].__setitem__(0, 10**400), "too large"),
        (lambda m: m["encoder"].update(frames=10**9), r"frames.*1000"),
        (lambda m: m.update(random_weights=False), "random_weights"),
        (lambda m: m["encoder"].update(mean="x"), "mean"),
        (lambda m: m["encoder"].pop("image_size"), "image_size"),
    ],
)
def test_a_model_that_fits_its_digest_and_not_itself_is_refused(
    change: Callable[[dict[str, Any]], None], problem: str, own_copy: Path
) -> None:
    def edit(metadata: dict[str, Any]) -> None:
        change(metadata)
        metadata["encoder"].setdefault("image_size", None)

    change_metadata(own_copy, edit)
    with pytest.raises(CacheError, match=rf"(?s)(config\.json|model\.safetensors).*{problem}"):
        load_run(own_copy)


@pytest.mark.parametrize("name", ["inputs.text", "inputs.negative"])
@pytest.mark.parametrize("change", [lambda t: t.double(), lambda t: t.long(), lambda t: t[:, None]])
def test_text_embeddings_of_another_type_or_shape_are_refused(
    name: str, change: Callable[[Tensor], Tensor], own_copy: Path
) -> None:
    path = own_copy / "model.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)  # (A, Dt)
    save_file({**tensors, name: change(tensors[name])}, path, metadata)
    edit_json(own_copy / "config.json", sha256={"model.safetensors": sha256(path)})
    with pytest.raises(CacheError, match=r"model\.safetensors .*float32"):
        load_run(own_copy)


@pytest.mark.slow
def test_a_snapshot_in_the_cache_of_the_hub_is_read_through_its_links(
    exported: Path, people: Path, tmp_path: Path
) -> None:
    snapshot = fill_hub_cache(tmp_path, "owner/name", exported)
    assert load_run(snapshot).schema == load_run(exported).schema


def test_a_card_may_be_edited_and_the_graphs_left_out(own_copy: Path) -> None:
    (own_copy / "README.md").write_text("mine")
    (own_copy / "encoder.onnx").unlink()
    assert load_run(own_copy).schema.num_outputs == 43


def test_a_folder_that_is_no_run_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r"config\.json is missing.*neither a run"):
        load_run(tmp_path)


@pytest.mark.slow
def test_an_exported_run_takes_no_model(exported: Path) -> None:
    with pytest.raises(UserError, match="leave `model` out"):
        load_run(exported, model=lambda inputs: None)  # type: ignore[arg-type, return-value]
