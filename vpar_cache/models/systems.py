"""The systems that can be trained or evaluated on a cache: what each reads, and whose name it may carry."""

from __future__ import annotations

from dataclasses import dataclass

_CLIP, _VIT, _RESNET = "open_clip:ViT-B-16", "timm:vit_base_patch16_224", "timm:resnet50"


@dataclass(frozen=True)
class System:
    """One value of --model. What it computes stands in its file under models/."""

    reads: str
    """The cache's array that its rows come from."""
    loss: str
    """What `--loss auto` comes to: bce (an output each), or ce (one class a group, as the VideoPAR code)."""
    paper_name: str = ""
    """The row of the paper's tables that it re-implements, if any."""
    paper_backbone: str = ""
    """The backbone of that row; on another one the row does not carry the paper's name."""
    has_fusion: bool = False
    """Has the blocks that --layers, --heads, --logit-norm and --block-init speak of."""
    is_trained: bool = True

    def title(self, model: str, backbone: str) -> str:
        """How a row is called: the paper's name on the paper's backbone, the model's on any other."""
        if model == "prior":
            return model  # it reads labels alone
        own = self.paper_name and _same_architecture(backbone, self.paper_backbone)
        return self.paper_name if own else f"{model} on {backbone}"


def _same_architecture(backbone: str, expected: str) -> bool:
    """timm names may carry their weights' tag after a dot, open_clip's the activation after a dash."""
    return backbone.partition(".")[0].removesuffix("-quickgelu") == expected


SYSTEMS = {
    "vtf": System("visual", "bce", "CLIP-VTF", _CLIP, has_fusion=True),
    "linear": System("visual", "bce", "CLIP-VTF without fusion", _CLIP),
    "vtb": System("visual", "bce", "VTB", _VIT, has_fusion=True),
    "videopar-image": System("frame_embeddings", "ce", "VideoPAR (image)", _RESNET),
    "videopar": System("frame_embeddings", "ce", "VideoPAR (video)", _RESNET),
    "cnn-rnn": System("frame_embeddings", "ce", "CNN-RNN", _RESNET),
    "3dcnn": System("frame_tokens", "ce"),  # the original is a 3D ResNet on pixels: no frozen backbone is its own
    "zero-shot": System("visual", "ce", is_trained=False),
    "prior": System("visual", "bce", is_trained=False),
}
MODELS = tuple(SYSTEMS)


def system_title(model: str, backbone: str) -> str:
    """As System.title; a model that this version does not know keeps its own name."""
    return SYSTEMS[model].title(model, backbone) if model in SYSTEMS else f"{model} on {backbone}"
