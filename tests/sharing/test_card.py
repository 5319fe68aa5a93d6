"""README.md of an exported run: what the hub reads in its front matter is what the run scored."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from tests.support.fake_runs import make_run as fake_run
from vpar_cache.metrics.scoring import PROTOCOLS
from vpar_cache.runs.finished import read_run, read_runs
from vpar_cache.sharing.card import hub_card


def card_of(folder: Path, card: str = "# Card\n", license: str = "unknown") -> ModelCard:
    return ModelCard(hub_card(read_runs(folder), card, license, with_graphs=False))


@pytest.mark.slow
def test_the_card_of_an_exported_run_holds_that_of_the_run(exported: Path, vtf_run: Path) -> None:
    card = ModelCard.load(exported / "README.md")
    assert (vtf_run / "card.md").read_text("utf-8").strip() in card.text
    assert (card.data.library_name, card.data.license, card.data.datasets) == ("vpar-cache", "unknown", ["mars"])
    assert {"onnx", "random-weights"} <= set(card.data.tags)
    assert card.text.lstrip().startswith("> **The encoder of this model has random weights.**")


def test_each_protocol_has_one_entry_with_the_best_constant_beside_it(tmp_path: Path) -> None:
    folder = fake_run(tmp_path, "a", details=True)
    run, card = read_run(folder), card_of(folder, license="cc-by-nc-4.0")
    found = {result.metric_args["protocol"]: result for result in card.data.eval_results}
    assert list(found) == list(PROTOCOLS)
    for name, result in found.items():
        assert result.metric_value == pytest.approx(100 * run.scores[name].average["f1"], abs=0.005)
        constant = run.constant_of(name, None, "f1")
        assert result.metric_args["best_constant"] == pytest.approx(100 * constant, abs=0.005)
        assert f"{100 * constant:.2f}" in result.metric_name
        assert result.metric_args["threshold"] == run.scores[name].threshold
        assert "RANDOM" not in result.metric_name
    assert card.data.license == "cc-by-nc-4.0"
    assert "random-weights" not in card.data.tags
    assert "random weights" not in card.text


def test_a_run_on_random_weights_is_marked_at_every_number(tmp_path: Path) -> None:
    folder = fake_run(tmp_path, "a", weights="random:0", random_weights=True)
    results = card_of(folder).data.eval_results
    assert len(results) == len(PROTOCOLS)
    assert all("RANDOM WEIGHTS" in result.metric_name for result in results)


def test_what_a_run_does_not_know_is_said(tmp_path: Path) -> None:
    folder = fake_run(tmp_path, "a", prior=None)
    assert all("not known" in result.metric_name for result in card_of(folder).data.eval_results)


def test_names_from_files_do_not_act_in_the_front_matter(tmp_path: Path) -> None:
    name = "a: b\n---\n# [x]"
    folder = fake_run(tmp_path, "a", name=name, dataset="- &x *x !!python/object:os.system 'é")
    data = card_of(folder).data
    assert data.model_name == name
    assert data.eval_results[0].dataset_type == "- &x *x !!python/object:os.system 'é"
