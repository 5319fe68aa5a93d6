"""The names of backbones and of their options, without importing any library that brings some."""

from __future__ import annotations

from vpar_cache.base.settings import check_choice
from vpar_cache.errors import UserError

OPEN_CLIP, TIMM = "open_clip", "timm"
LIBRARIES = (OPEN_CLIP, TIMM)
"""Who brings a backbone: what stands before the colon of its name."""
TEXTS = ("auto", "clip", "minilm")
NORMALIZATIONS = ("own", "half")


def split_backbone(name: str) -> tuple[str, str]:
    """`library:architecture` -> both; a bare name is open_clip's. UserError for another library."""
    library, colon, architecture = name.partition(":")
    if not colon:
        return OPEN_CLIP, name
    check_choice("--backbone: library", library, LIBRARIES)
    return library, architecture


def resolve_text(text: str, library: str) -> str:
    """auto -> CLIP's own text encoder, or the sentence encoder for a backbone that has none."""
    if text == "clip" and library != OPEN_CLIP:
        raise UserError(f"--text clip needs a backbone of open_clip, not of {library}; use --text minilm")
    return text if text != "auto" else "clip" if library == OPEN_CLIP else "minilm"
