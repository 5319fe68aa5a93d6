"""A row carries the paper's name only where it is the paper's system."""

from __future__ import annotations

import csv
from importlib import resources

import pytest

from vpar_cache.models.systems import SYSTEMS, system_title


@pytest.mark.parametrize(
    ("model", "backbone", "title"),
    [
        ("vtf", "open_clip:ViT-B-16-quickgelu", "CLIP-VTF"),
        ("vtf", "open_clip:ViT-B-16-plus-240", "vtf on open_clip:ViT-B-16-plus-240"),
        ("linear", "open_clip:ViT-B-16-quickgelu", "CLIP-VTF without fusion"),
        ("vtb", "timm:vit_base_patch16_224.augreg2_in21k_ft_in1k", "VTB"),
        ("vtb", "timm:vit_base_patch16_384", "vtb on timm:vit_base_patch16_384"),
        ("videopar", "timm:resnet50.a1_in1k", "VideoPAR (video)"),
        ("3dcnn", "timm:resnet50", "3dcnn on timm:resnet50"),
        ("prior", "timm:resnet50", "prior"),
        ("custom", "timm:x", "custom on timm:x"),
    ],
)
def test_titles(model: str, backbone: str, title: str) -> None:
    assert system_title(model, backbone, {"parts": None, "tune_text": False}) == title


@pytest.mark.parametrize(
    ("settings", "title"),
    [
        ({"parts": "fixed"}, "CLIP-VTF with fixed parts"),
        ({"tune_text": True}, "CLIP-VTF with tuned text"),
        ({"parts": "learned", "tune_text": True}, "CLIP-VTF with learned parts and tuned text"),
        ({"parts": 7, "tune_text": "<b>"}, "CLIP-VTF"),
    ],
)
def test_a_title_says_what_was_added_to_the_paper_s_model(settings: dict[str, object], title: str) -> None:
    assert system_title("vtf", "open_clip:ViT-B-16-quickgelu", settings) == title


def test_every_paper_name_is_a_published_row() -> None:
    text = (resources.files("vpar_cache.reporting") / "published.csv").read_text("utf-8")
    published = {row["method"] for row in csv.DictReader(text.splitlines())}
    assert {system.paper_name for system in SYSTEMS.values() if system.paper_name} <= published
