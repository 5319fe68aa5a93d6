"""What `vpar export` writes, and what it refuses before it writes."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from torch import nn

from tests.sharing.conftest import edit_json
from vpar_cache.errors import CacheError, Stopped, UserError
from vpar_cache.models.inputs import ModelInputs
from vpar_cache.runs.load import load_run
from vpar_cache.sharing.export import ExportConfig, export_run
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train


@pytest.fixture
def own_run(vtf_run: Path, tmp_path: Path) -> Path:
    """A copy of the run, to change."""
    return Path(shutil.copytree(vtf_run, tmp_path / "run"))


def export(run: Path, to: Path, **options: Any) -> dict[str, bytes]:
    """The files of the exported folder."""
    export_run(ExportConfig(run=run, to=to, **options))
    return contents(to)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.slow
def test_config_json_says_what_the_run_says(exported: Path, vtf_run: Path) -> None:
    config = json.loads((exported / "config.json").read_text("utf-8"))
    record = json.loads((vtf_run / "run.json").read_text("utf-8"))
    assert config["schema"] == record["schema"]
    assert config["thresholds"] == record["thresholds"]
    assert list(config["thresholds"]) == config["outputs"]
    assert config["outputs"] == [o["name"] for group in record["schema"]["groups"] for o in group["outputs"]]
    assert config["protocols"] == {"vtf": 0.45, "videopar": 0.5, "pooled": 0.45, "instance": 0.45}
    assert config["settings"] == {name: record["settings"][name] for name in config["settings"]}
    assert config["frame_rule"] == {name: record["extraction"][name] for name in ("frames", "sampling", "seed")}
    assert config["encoder"]["weights"] == "random:0"
    assert config["trained_with"]["torch"] == record["versions"]["torch"]
    assert config["random_weights"] is True
    assert config["sha256"] == {
        name: hashlib.sha256(data).hexdigest()
        for name, data in contents(exported).items()
        if name not in ("config.json", "README.md")
    }


@pytest.mark.slow
def test_the_model_file_holds_the_text_and_the_order_of_outputs(exported: Path, vtf_run: Path) -> None:
    run = load_run(vtf_run)
    with safe_open(exported / "model.safetensors", "pt") as file:
        metadata = json.loads(file.metadata()["vpar"])
        assert file.get_tensor("inputs.text").equal(run.inputs.text)
    assert metadata["outputs"] == [output.name for output in run.schema.outputs]
    assert metadata["schema"] == run.schema.to_dict()


def test_nothing_in_the_folder_names_a_path_of_this_machine(own_run: Path, tmp_path: Path) -> None:
    start = "/home/me/secret/vit.safetensors"
    edit_json(own_run / "run.json", settings={"block_init": start})
    card = own_run / "card.md"
    card.write_text(card.read_text("utf-8").replace(r"block\_init None", rf"block\_init {start}"), "utf-8")
    files = export(own_run, tmp_path / "out")
    assert b"vit.safetensors" in files["README.md"]
    for name, data in files.items():
        assert b"/home/me" not in data, name
        assert str(tmp_path).encode() not in data, name


def test_an_export_is_the_same_each_time_and_is_replaced_with_overwrite_alone(
    own_run: Path, tmp_path: Path
) -> None:
    first = export(own_run, tmp_path / "out")
    (tmp_path / "out" / "README.md").write_text("edited")
    with pytest.raises(UserError, match=r"--to: .*out.*--overwrite"):
        export(own_run, tmp_path / "out")
    assert (tmp_path / "out" / "README.md").read_text() == "edited"
    assert export(own_run, tmp_path / "out", overwrite=True) == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


@pytest.mark.parametrize("found", ["notes.txt", ".git", "config.json", "a run"])
def test_a_folder_that_export_did_not_write_is_never_replaced(found: str, own_run: Path, tmp_path: Path) -> None:
    to = tmp_path / "out"
    if found == "a run":
        shutil.copytree(own_run, to)
    else:
        to.mkdir()
        (to / found).write_text("{}")
    before = contents(to)
    with pytest.raises(UserError, match=r"--to: .*out.*did not write it"):
        export(own_run, to, overwrite=True)
    assert contents(to) == before


def test_an_export_beside_foreign_files_is_not_replaced(own_run: Path, tmp_path: Path) -> None:
    export(own_run, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").touch()
    with pytest.raises(UserError, match=r"holds 'notes\.txt'"):
        export(own_run, tmp_path / "out", overwrite=True)


def test_a_folder_with_the_name_of_an_exported_file_is_not_removed(own_run: Path, tmp_path: Path) -> None:
    export(own_run, tmp_path / "out")
    mine = tmp_path / "out" / "encoder.onnx" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(UserError, match=r"holds 'encoder\.onnx'"):
        export(own_run, tmp_path / "out", overwrite=True)
    assert mine.read_text() == "mine"


def test_an_empty_folder_is_filled(own_run: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert "config.json" in export(own_run, tmp_path / "out")


@pytest.mark.parametrize("place", ["run", "run/inside", "file", "link"])
def test_a_place_that_is_no_new_folder_is_refused(place: str, own_run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("elsewhere")
    before = contents(own_run)
    with pytest.raises(UserError, match=r"--to: got"):
        export(own_run, tmp_path / place, overwrite=True)
    assert contents(own_run) == before
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("missing", ["run.json", "metrics.json", "model.safetensors", "card.md"])
def test_a_run_that_is_not_finished_is_refused_and_leaves_nothing(
    missing: str, own_run: Path, tmp_path: Path
) -> None:
    (own_run / missing).unlink()
    with pytest.raises(CacheError, match=missing.replace(".", r"\.")):
        export(own_run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", [{"model": "linear"}, {"random_weights": False, "weights": "openai"}])
def test_files_of_different_runs_are_refused(change: dict[str, Any], own_run: Path, tmp_path: Path) -> None:
    edit_json(own_run / "run.json", **change)
    with pytest.raises(CacheError, match="different runs"):
        export(own_run, tmp_path / "out")


class OwnModel(nn.Module):
    def __init__(self, inputs: ModelInputs) -> None:
        super().__init__()
        self.heads = nn.Linear(inputs.token_dim, inputs.num_outputs)

    def forward(self, rows: Any, text: Any) -> Any:
        return self.heads(rows.mean(dim=1))  # (B, A)


def test_a_run_of_the_callers_own_model_is_refused(tiny_cache: Path, tmp_path: Path) -> None:
    own = train(
        TrainConfig(features=tiny_cache, runs=tmp_path, name="own", epochs=1, device="cpu"), model=OwnModel
    )
    with pytest.raises(UserError, match=r"--run: .*own is a run of your own model"):
        export(own.folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"weights": "random:0"}, "--weights: only --onnx"),
        ({"license": "all rights\nreserved"}, "--license: got"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        ExportConfig(run=Path("a"), to=Path("b"), **options)


def test_other_weights_than_those_of_the_run_are_refused_and_nothing_is_left(
    own_run: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"--weights: got random:7 with digest"):
        export(own_run, tmp_path / "out", onnx=True, weights="random:7")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*.partial"))


def test_an_export_that_is_stopped_leaves_nothing(own_run: Path, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        export_run(ExportConfig(run=own_run, to=tmp_path / "out", onnx=True), stop=lambda: True)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*.partial"))
