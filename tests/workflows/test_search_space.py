"""Search files of the user: checked before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from vpar_cache.errors import UserError
from vpar_cache.models.systems import MODELS, SYSTEMS
from vpar_cache.training.config import TrainConfig
from vpar_cache.workflows.search_space import read_search


def base(model: str = "vtf") -> TrainConfig:
    return TrainConfig(features="x.h5", model=model)


@pytest.mark.parametrize("model", [model for model in MODELS if SYSTEMS[model].is_trained])
def test_the_default_search_fits_every_model(model: str) -> None:
    names = {setting.name for setting in read_search(None, base(model))}
    assert {"lr", "weight_decay", "batch_size", "loss", "schedule"} <= names
    assert ("layers" in names) == SYSTEMS[model].has_fusion


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no table"),
        ("lr = 3", r"\[lr\].*3"),
        ("[lrr]\nlow = 1", "'lrr'.*'lr'"),
        ("[epochs]\nchoices = [1]", "'epochs'"),
        ("[lr]\nlow = 1e-3", r"\[lr\].*low"),
        ("[lr]\nlow = 1e-3\nhigh = 1e-4", r"\[lr\].*0\.001.*0\.0001"),
        ("[lr]\nlow = 0\nhigh = 1e-4\nlog = true", r"\[lr\].*0.*log"),
        ("[lr]\nlow = -1.0\nhigh = 1e-4", r"--lr.*-1"),
        ("[lr]\nlow = 1e-3\nhigh = inf", r"--lr.*inf"),
        ("[lr]\nlow = nan\nhigh = 1.0", r"\[lr\].*nan"),
        ("[lr]\nlow = 1e-3\nhigh = 1.0\nlog = 1", r"\[lr\] log.*1"),
        ("[lr]\nchoices = []", r"\[lr\] choices"),
        ("[batch_size]\nchoices = [8, 8.5]", r"\[batch_size\].*8\.5"),
        ("[batch_size]\nlow = 0\nhigh = 8", r"--batch-size.* 0"),
        ("[loss]\nchoices = ['mse']", "--loss.*'mse'"),
        ("[loss]\nlow = 'a'\nhigh = 'b'", r"\[loss\].*choices"),
        ("[dim]\nchoices = [512, 500]", "--dim.*500"),
        ("[dim]\nchoices = [512, 96]\n[heads]\nchoices = [8, 64]", "--dim.*96.*--heads 64"),
        ("[lr", "TOML"),
    ],
)
def test_a_wrong_search_file_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "search.toml").write_text(text, "utf-8")
    with pytest.raises(UserError, match=f"--search.*{message}"):
        read_search(tmp_path / "search.toml", base())


def test_a_setting_that_the_model_lacks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "search.toml").write_text("[layers]\nchoices = [1, 2]", "utf-8")
    with pytest.raises(UserError, match=r"\[layers\].*linear"):
        read_search(tmp_path / "search.toml", base("linear"))
