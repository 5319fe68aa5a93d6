"""The table of models: what each reads, its loss, and which row of the paper it re-implements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vpar_cache.models.settings import PARTS

_CLIP, _VIT, _RESNET = "open_clip:ViT-B-16", "timm:vit_base_patch16_224", "timm:resnet50"


@dataclass(frozen=True)
class System:
    """One value of --model. Its network is in the file of its name in models/."""

    reads: str
    """The array of the cache that it reads."""
    loss: str
    """The loss that `--loss auto` resolves to: bce, or ce (as the VideoPAR code)."""
    paper_name: str = ""
    """Name of the row of the paper's tables that it re-implements, if any."""
    paper_backbone: str = ""
    """Backbone of that row; on another backbone the paper's name is not used."""
    has_fusion: bool = False
    """Whether --layers, --heads, --logit-norm, --block-init, --parts and --tune-text apply."""
    is_trained: bool = True
    reads_text: bool = False
    """Whether it needs the text embeddings of the cache."""

    def title(self, model: str, backbone: str) -> str:
        """Return the paper's name on the paper's backbone, else the model and its backbone."""
        if model == "prior":
            return model  # it reads labels alone
        own = self.paper_name and _same_architecture(backbone, self.paper_backbone)
        return self.paper_name if own else f"{model} on {backbone}"


def _same_architecture(backbone: str, expected: str) -> bool:
    """Compare without timm's tag of weights (after a dot) and open_clip's activation (-quickgelu)."""
    return backbone.partition(".")[0].removesuffix("-quickgelu") == expected


SYSTEMS = {
    "vtf": System("visual", "bce", "CLIP-VTF", _CLIP, has_fusion=True, reads_text=True),
    # Not in the paper, which averages frames.
    "vtf-temporal": System("frame_tokens", "bce", has_fusion=True, reads_text=True),
    "linear": System("visual", "bce", "CLIP-VTF without fusion", _CLIP),
    "vtb": System("visual", "bce", "VTB", _VIT, has_fusion=True, reads_text=True),
    "videopar-image": System("frame_embeddings", "ce", "VideoPAR (image)", _RESNET),
    "videopar": System("frame_embeddings", "ce", "VideoPAR (video)", _RESNET),
    "cnn-rnn": System("frame_embeddings", "ce", "CNN-RNN", _RESNET),
    "3dcnn": System("frame_tokens", "ce"),  # the original is a 3D ResNet on pixels: no frozen backbone is its own
    "zero-shot": System("visual", "ce", is_trained=False, reads_text=True),
    "prior": System("visual", "bce", is_trained=False),
}
MODELS = tuple(SYSTEMS)
CUSTOM = "custom"
"""The model's name in a run of the caller's own model."""


def system_title(model: str, backbone: str, settings: Mapping[str, Any]) -> str:
    """Return System.title, and what the settings of the run add to the paper's model.

    For a model that is not in the table: its name and its backbone.
    """
    title = SYSTEMS[model].title(model, backbone) if model in SYSTEMS else f"{model} on {backbone}"
    parts = settings.get("parts")
    added = [f"{parts} parts"] if parts in PARTS else []
    if settings.get("tune_text") is True:
        added.append("tuned text")
    return f"{title} with {' and '.join(added)}" if added else title
