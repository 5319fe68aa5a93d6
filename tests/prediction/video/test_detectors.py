"""Detection models of torchvision: built without a download, loaded by the safe loader."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from vpar_cache.errors import UserError
from vpar_cache.prediction.video.detectors import TorchvisionDetector, make_detector
from vpar_cache.prediction.video.frames import Frame

NAME = "ssdlite320_mobilenet_v3_large"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seeded random weights of the smallest model, with a bias for people."""
    torch.manual_seed(0)
    model = models.get_model(NAME, weights=None, weights_backbone=None, num_classes=91)
    with torch.no_grad():
        for head in model.head.classification_head.module_list:
            head[1].bias.view(-1, 91)[:, 1] += 3  # (anchors, classes)
    path = tmp_path_factory.mktemp("detector") / "a.safetensors"
    save_file(model.state_dict(), path)
    return path


def test_boxes_are_those_of_the_library_for_a_person_above_the_score(weights: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    detector = make_detector(f"torchvision:{NAME}", weights, CPU, 32, 0.0, offline=True)
    boxes, scores = detector.find(Frame(1, 0.0, picture))
    plain = models.get_model(NAME, weights=None, weights_backbone=None, num_classes=91).eval()
    plain.load_state_dict(torch.load(_as_pt(weights), weights_only=True))
    with torch.inference_mode():
        (found,) = plain([torch.from_numpy(picture).permute(2, 0, 1) / 255])
    person = found["labels"] == 1
    assert person.any()
    corners = found["boxes"][person].numpy()
    np.testing.assert_allclose(boxes[:, :2] + boxes[:, 2:], corners[:, 2:], rtol=1e-5)
    np.testing.assert_allclose(scores, found["scores"][person].numpy(), rtol=1e-5)


class _ThreeBoxes(torch.nn.Module):
    def forward(self, pictures: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        (picture,) = pictures
        assert picture.shape == (3, 90, 120)
        assert picture.max() <= 1
        boxes = torch.tensor([[1.0, 2, 11, 32], [5, 5, 15, 45], [9, 9, 19, 29]])
        return [{"boxes": boxes, "labels": torch.tensor([1, 1, 3]), "scores": torch.tensor([0.9, 0.4, 0.9])}]


def test_other_classes_and_low_scores_are_no_people() -> None:
    boxes, scores = TorchvisionDetector(_ThreeBoxes(), CPU, 0.5).find(
        Frame(1, 0.0, np.ones((90, 120, 3), np.uint8))
    )
    np.testing.assert_array_equal(boxes, [[1, 2, 10, 30]])
    np.testing.assert_allclose(scores, [0.9])


def test_a_file_of_another_model_or_a_program_names_the_option(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--detector-weights: .*does not fit --detector torchvision:fasterrcnn"):
        make_detector("torchvision:fasterrcnn_mobilenet_v3_large_fpn", weights, CPU, 32, 0.5, offline=True)
    (tmp_path / "b.pt").write_bytes(pickle.dumps(print, protocol=2))
    with pytest.raises(UserError, match=r"--detector-weights: .*b\.pt is not a file of tensors"):
        make_detector(f"torchvision:{NAME}", tmp_path / "b.pt", CPU, 32, 0.5, offline=True)
    with pytest.raises(UserError, match=r"--detector-weights: --detector motion has no weights"):
        make_detector("motion", weights, CPU, 32, 0.5, offline=True)


def _as_pt(path: Path) -> Path:
    from safetensors.torch import load_file

    torch.save(load_file(path), path.with_suffix(".pt"))
    return path.with_suffix(".pt")
