"""Training on a small real cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open

from vpar_cache.base.computing import fp32_without_tf32, out_of_memory
from vpar_cache.cache.features import Features, open_features
from vpar_cache.errors import CacheError, DataError, UserError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract
from vpar_cache.metrics.scoring import score_all
from vpar_cache.models.build import OwnModel
from vpar_cache.models.inputs import ModelInputs
from vpar_cache.runs.load import load_run
from vpar_cache.training.checkpoints import CheckpointFile
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.loop import Trainer
from vpar_cache.training.splits import Rows, choose_rows
from vpar_cache.training.train import TrainResult, train


@pytest.fixture
def run(tiny_cache: Path, tmp_path: Path) -> Callable[..., TrainResult]:
    """Train on the small cache; settings can be replaced."""

    def run(**changes: Any) -> TrainResult:
        settings: dict[str, Any] = {"dim": 32, "heads": 2, "epochs": 2, "batch_size": 4, "device": "cpu"}
        settings |= {"features": tiny_cache, "runs": tmp_path / "runs", "val_fraction": 0.34}
        return train(TrainConfig(**{**settings, **changes}))

    return run


def read(result: TrainResult, name: str) -> dict[str, Any]:
    return json.loads((result.folder / name).read_text("utf-8"))


def test_same_seed_gives_the_same_metrics_bit_for_bit_and_another_seed_others(run: Any) -> None:
    first, again, other = run(name="a"), run(name="b"), run(name="c", seed=1)
    for file in ("metrics.json", "model.safetensors", "predictions.parquet"):
        assert (first.folder / file).read_bytes() == (again.folder / file).read_bytes()
    assert read(first, "metrics.json") != read(other, "metrics.json")


def test_the_global_random_state_neither_matters_nor_changes(run: Any) -> None:
    torch.manual_seed(1)
    first = run(name="a")
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    second = run(name="b")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert read(first, "metrics.json") == read(second, "metrics.json")


def test_the_test_split_never_chooses_anything(
    run: Any, tiny_cache: Path, tmp_path: Path, extract_config: Callable[..., ExtractConfig], demo_root: Path
) -> None:
    """Other test labels change the test scores and nothing else: not the weights, the epoch, the threshold."""
    import shutil

    root = tmp_path / "data"
    shutil.copytree(demo_root, root)
    lines = (root / "mars_attributes.csv").read_text().splitlines()
    header = lines[0].split(",")
    test_people = {int(folder.name) for folder in (root / "bbox_test").iterdir() if folder.name.isdigit()}
    column = header.index("gender")
    for number, line in enumerate(lines[1:], 1):
        cells = line.split(",")
        if int(cells[0]) in test_people:
            cells[column] = str(1 - int(cells[column]))
            lines[number] = ",".join(cells)
    (root / "mars_attributes.csv").write_text("\n".join(lines) + "\n")
    index = extract(extract_config(tmp_path / "other.h5", root=root)).index
    ours, theirs = run(name="a"), run(name="b", features=index)
    assert read(ours, "metrics.json")["scores"] != read(theirs, "metrics.json")["scores"]
    for field in ("selected_epoch", "selected_threshold", "thresholds"):
        assert read(ours, "run.json")[field] == read(theirs, "run.json")[field]
    with (
        safe_open(ours.folder / "model.safetensors", "pt") as a,
        safe_open(theirs.folder / "model.safetensors", "pt") as b,
    ):
        assert all(torch.equal(a.get_tensor(name), b.get_tensor(name)) for name in a.keys())  # noqa: SIM118


def test_metrics_are_those_of_the_written_predictions(run: Any, tiny_cache: Path) -> None:
    result = run()
    rows = [r for r in pq.read_table(result.folder / "predictions.parquet").to_pylist() if r["split"] == "test"]
    schema = open_features(tiny_cache).schema
    groups = schema.named_slices()
    probabilities = np.array([row["probabilities"] for row in rows], np.float32)
    labels = np.array([row["labels"] for row in rows])
    threshold = read(result, "run.json")["selected_threshold"]
    expected = score_all(probabilities, labels, groups, threshold)
    assert read(result, "metrics.json")["scores"] == {name: asdict(scores) for name, scores in expected.items()}


def test_predictions_hold_test_and_held_out_tracklets_with_the_cache_s_labels(run: Any, tiny_cache: Path) -> None:
    result = run()
    features = open_features(tiny_cache)
    by_id = dict(zip(features.tracklet_ids, features.labels, strict=True))
    rows = pq.read_table(result.folder / "predictions.parquet").to_pylist()
    for row in rows:
        np.testing.assert_array_equal(row["labels"], by_id[row["tracklet_id"]])
    record = read(result, "run.json")
    assert sum(row["split"] == "test" for row in rows) == record["num_test"] == 6
    assert sum(row["split"] == "validation" for row in rows) == record["num_validation"] > 0
    assert record["num_train"] + record["num_validation"] == 12


def test_the_prior_as_a_model_scores_as_the_prior_beside_any_model(run: Any) -> None:
    metrics = read(run(model="prior"), "metrics.json")
    assert metrics["scores"] == metrics["prior"]


def test_a_single_row_left_over_is_no_batch_of_its_own_under_logit_norm(run: Any) -> None:
    run(logit_norm=True, batch_size=11, recipe="paper")  # 12 train rows


def test_random_weights_are_marked_in_the_run_and_in_the_model(run: Any) -> None:
    result = run()
    assert read(result, "run.json")["random_weights"] is True
    with safe_open(result.folder / "model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["vpar"])["random_weights"] is True


def test_a_finished_run_is_not_repeated_unasked(run: Any) -> None:
    run()
    with pytest.raises(CacheError, match="--overwrite"):
        run()
    run(overwrite=True)


def test_what_is_finished_is_said_to_have_the_same_settings_only_where_its_name_says_so(run: Any) -> None:
    run()
    with pytest.raises(CacheError, match="the same settings on the same features and labels"):
        run()
    run(name="a")
    with pytest.raises(CacheError, match="finished already; see"):
        run(name="a", lr=1e-2)


@pytest.mark.parametrize("recipe", ["strict", "paper"])
@pytest.mark.parametrize("batch_size", [4, 64])
def test_a_diverging_run_stops_in_that_epoch_and_leaves_nothing(
    recipe: str, batch_size: int, run: Any, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"--lr: training with 1e\+30 diverged in epoch [12] .*smaller --lr"):
        run(lr=1e30, batch_size=batch_size, recipe=recipe, epochs=3)
    assert not list((tmp_path / "runs").glob("*"))


class Pooled(torch.nn.Module):
    """Logits of the mean token; `spoil` gets them and whether the model is training."""

    def __init__(self, inputs: ModelInputs, spoil: Callable[[torch.Tensor, bool], torch.Tensor]) -> None:
        super().__init__()
        self.head = torch.nn.Linear(inputs.row_shape[-1], inputs.num_outputs)
        self.spoil = spoil

    def forward(self, rows: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        return self.spoil(self.head(rows.mean(dim=1)), self.training)


@pytest.mark.parametrize(
    ("value", "recipe", "what"),
    [
        (torch.inf, "strict", "outputs"),
        (torch.inf, "paper", "outputs"),
        (torch.nan, "paper", "outputs"),
        (1e38, "strict", "validation loss inf"),  # a finite output, but the sum of the losses is not
    ],
)
def test_outputs_or_a_loss_that_are_not_finite_in_evaluation_are_told_as_divergence(
    value: float, recipe: str, what: str, tiny_cache: Path, tmp_path: Path
) -> None:
    config = TrainConfig(
        features=tiny_cache, runs=tmp_path, recipe=recipe, epochs=2, device="cpu", val_fraction=0.34
    )
    with pytest.raises(DataError, match=rf"--lr.*diverged in epoch \d.*{what}"):
        train(config, model=lambda i: Pooled(i, lambda logits, training: logits if training else logits + value))


def test_fp32_is_never_tf32_and_the_caller_s_choice_comes_back(tiny_cache: Path, tmp_path: Path) -> None:
    seen = set()

    def look(logits: torch.Tensor, training: bool) -> torch.Tensor:
        seen.add((training, torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()))
        return logits

    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        config = TrainConfig(features=tiny_cache, runs=tmp_path, recipe="paper", epochs=1, device="cpu")
        train(config, model=lambda inputs: Pooled(inputs, look))
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen == {(True, False, "highest"), (False, False, "highest")}
    assert torch.backends.cudnn.allow_tf32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="TF32 needs a GPU")
def test_a_convolution_on_a_gpu_is_that_of_fp32() -> None:
    torch.manual_seed(0)
    image, kernel = torch.randn(4, 64, 32, 32), torch.randn(64, 64, 3, 3)
    exact = torch.nn.functional.conv2d(image.double(), kernel.double())

    def error() -> float:
        found = torch.nn.functional.conv2d(image.cuda(), kernel.cuda()).cpu().double()
        return float((found - exact).abs().max() / exact.abs().max())

    with fp32_without_tf32():
        inside = error()
    assert inside < 1e-5 < error(), "the card has no TF32, or it was not left out"


def test_a_model_that_needs_more_memory_than_there_is_ends_in_one_line(tiny_cache: Path, tmp_path: Path) -> None:
    config = TrainConfig(features=tiny_cache, runs=tmp_path, epochs=1, device="cpu")
    with pytest.raises(UserError, match=r"^out of memory; .*--batch-size, --dim") as error:
        train(config, model=lambda inputs: torch.nn.Linear(2**28, 2**28))
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="out of memory; x"), out_of_memory("x"):
        np.empty(2**57, np.uint8)
    with pytest.raises(RuntimeError, match="shapes"), out_of_memory("x"):
        torch.ones(2, 3) @ torch.ones(2, 3)


def test_a_path_as_text_is_a_path(run: Any, tiny_cache: Path, tmp_path: Path) -> None:
    result = run(features=str(tiny_cache), runs=str(tmp_path / "text"), recipe="paper")
    assert result.folder.parent == tmp_path / "text"


def one_train_row(cache: Path, **changes: Any) -> tuple[TrainConfig, Features, Rows]:
    config = TrainConfig(features=cache, dim=32, heads=2, device="cpu", recipe="paper", epochs=1, **changes)
    features = open_features(cache)
    rows = choose_rows(features, config)
    return config, features, replace(rows, train=rows.train[:1])


def test_one_train_tracklet_is_refused_by_a_batchnorm_over_rows_and_trains_otherwise(tiny_cache: Path) -> None:
    with pytest.raises(DataError, match=r"1 train tracklet.*--logit-norm"):
        Trainer(*one_train_row(tiny_cache, logit_norm=True))

    class Places(torch.nn.Module):
        """BatchNorm over the tokens of each row: one row has many."""

        def __init__(self, inputs: ModelInputs) -> None:
            super().__init__()
            self.norm, self.pooled = torch.nn.BatchNorm2d(1), Pooled(inputs, lambda logits, training: logits)

        def forward(self, rows: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
            return self.pooled(self.norm(rows[:, None])[:, 0], text)

    for changes in ({}, {"batch_size": 1}):
        config, features, rows = one_train_row(tiny_cache, **changes)
        trainer = Trainer(config, features, rows, OwnModel(Places, "visual", "places"))
        history, _ = trainer.fit(CheckpointFile(Path("nowhere"), "x", ""))
        assert np.isfinite(history[0]["train_loss"])


def test_batches_of_one_are_refused_by_a_batchnorm_over_rows(tiny_cache: Path, tmp_path: Path) -> None:
    class Normed(Pooled):
        def __init__(self, inputs: ModelInputs) -> None:
            super().__init__(inputs, lambda logits, training: self.norm(logits))
            self.norm = torch.nn.BatchNorm1d(inputs.num_outputs)

    config = TrainConfig(features=tiny_cache, runs=tmp_path, batch_size=1, epochs=1, device="cpu")
    with pytest.raises(UserError, match=r"--batch-size: got 1; expected 2 or more"):
        train(config, model=Normed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "vft"}, "--model.*'vft'.*'vtf'"),
        ({"model": "custom"}, "--model"),
        ({"epochs": 0}, "--epochs.* 0"),
        ({"lr": 0.0}, "--lr.* 0"),
        ({"val_fraction": 1.0}, "--val-fraction.* 1"),
        ({"dim": 30, "heads": 4}, "--dim.* 30.*--heads 4"),
        ({"name": "../x"}, "--name.*'../x'"),
        ({"device": "cuda:7"}, "--device cuda:7"),
        ({"features": "absent.h5"}, "absent.h5"),
        ({"views": 3}, "--views.* 3"),
    ],
)
def test_a_wrong_setting_names_the_value_and_the_rule(run: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(**changes)


@pytest.fixture(scope="module")
def viewed_cache(tmp_path_factory: pytest.TempPathFactory, extract_config: Callable[..., ExtractConfig]) -> Path:
    return extract(extract_config(tmp_path_factory.mktemp("views") / "viewed.h5", views=2)).index


def test_an_epoch_draws_the_plain_features_or_a_view_of_the_same_tracklet(viewed_cache: Path) -> None:
    features = open_features(viewed_cache)
    rows = choose_rows(features, TrainConfig(features=viewed_cache, recipe="paper"))
    trainer = Trainer(TrainConfig(features=viewed_cache, device="cpu", dim=32, heads=2), features, rows)
    with h5py.File(viewed_cache) as file:
        plain, views = file["visual"][()], file["augmented"][()]
    seen = set()
    order = rows.train[::-1].copy()
    for _ in range(20):
        tokens = features.with_views().gather(trainer._draw(order))
        for row, token in zip(order, tokens, strict=True):
            candidates = [plain[row], *views[row]]  # train rows come first
            matches = [number for number, one in enumerate(candidates) if np.array_equal(one, token)]
            assert matches
            seen |= {(row, matches[0])}
    assert len(seen) == 3 * len(order), "some view is never drawn"


def test_without_views_a_cache_that_stores_them_trains_as_one_that_does_not(run: Any, viewed_cache: Path) -> None:
    plain, unviewed = run(name="a"), run(name="b", features=viewed_cache, views=0)
    viewed = run(name="c", features=viewed_cache)
    predicted = [(r.folder / "predictions.parquet").read_bytes() for r in (plain, unviewed, viewed)]
    assert predicted[0] == predicted[1] != predicted[2]


def test_training_in_bf16_gives_the_gradients_of_fp32_but_for_rounding(tiny_cache: Path) -> None:
    features = open_features(tiny_cache)
    rows = choose_rows(features, TrainConfig(features=tiny_cache, recipe="paper"))
    gradients = {}
    for precision in ("fp32", "bf16"):
        config = TrainConfig(features=tiny_cache, device="cpu", dim=64, heads=2, precision=precision)
        trainer = Trainer(config, features, rows)
        (batch,) = trainer._data.batches(rows.train, len(rows.train))
        logits = trainer._forward(batch, in_bf16=precision == "bf16")
        trainer._objective.loss(logits, *trainer._labels(rows.train)).backward()
        gradients[precision] = {name: p.grad.flatten() for name, p in trainer.model.named_parameters()}
        assert all(p.dtype == g.dtype == torch.float32 for p, g in
                   zip(trainer.model.parameters(), gradients[precision].values(), strict=True))  # fmt: skip
    whole = [torch.cat(list(gradients[precision].values())) for precision in ("fp32", "bf16")]
    assert torch.cosine_similarity(*whole, dim=0) > 0.999
    assert not torch.equal(*whole), "bf16 was not used"


def test_the_fused_adam_trains_as_the_plain_one(
    run: Any, tiny_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, adam = open_features(tiny_cache), torch.optim.Adam
    asked: list[dict[str, Any]] = []

    def plain(parameters: Any, **settings: Any) -> torch.optim.Adam:
        asked.append(settings)
        return adam(parameters, **{**settings, "fused": False})

    def weights(module: torch.nn.Module) -> torch.Tensor:
        return torch.cat([p.detach().flatten() for p in module.parameters()])

    settings = {"precision": "fp32", "recipe": "paper", "epochs": 3}
    fused = weights(load_run(run(name="fused", **settings).folder).model)
    config = TrainConfig(features=tiny_cache, dim=32, heads=2, device="cpu", **settings)
    start = weights(Trainer(config, features, choose_rows(features, config)).model)
    monkeypatch.setattr(torch.optim, "Adam", plain)
    unfused = weights(load_run(run(name="plain", **settings).folder).model)
    assert asked[0]["fused"] is True
    assert (fused - unfused).norm() <= 1e-3 * (fused - start).norm()


@pytest.mark.parametrize("model", ["vtf", "videopar"])
def test_predictions_are_those_of_fp32_however_the_model_was_trained(
    run: Any, tiny_cache: Path, model: str
) -> None:
    """Computed again from the written model, in fp32 and without the trainer."""
    result = run(model=model, precision="bf16")
    features = open_features(tiny_cache)
    loaded = load_run(result.folder)
    assert loaded.settings["precision"] == "bf16"
    table = pq.read_table(result.folder / "predictions.parquet").to_pydict()
    written = dict(zip(table["tracklet_id"], table["probabilities"], strict=True))
    test = features.rows_of("test")
    expected = loaded.predict(features.arrays[loaded.reads].gather(test))
    actual = np.array([written[features.tracklet_ids[row]] for row in test])
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_auto_precision_is_settled_before_settings_are_written(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False})
    without = run()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    native = run()
    assert [read(r, "run.json")["settings"]["precision"] for r in (without, native)] == ["fp32", "bf16"]
    assert without.folder != native.folder, "another precision is another run"


@pytest.mark.parametrize("model", ["vtf", "videopar", "cnn-rnn"])
def test_a_model_learns_in_bf16(run: Any, model: str) -> None:
    losses = pq.read_table(run(model=model, precision="bf16", epochs=8).folder / "history.parquet")["train_loss"]
    assert losses[7].as_py() < losses[0].as_py()
