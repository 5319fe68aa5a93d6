"""The names of backbones and of their options. Imports none of the libraries that bring backbones."""

from __future__ import annotations

from vpar_cache.base.checks import check_choice
from vpar_cache.errors import UserError

OPEN_CLIP, TIMM = "open_clip", "timm"
LIBRARIES = (OPEN_CLIP, TIMM)
"""The library of a backbone: the part of its name before the colon."""
NO_TEXT = "none"
"""The name of the text encoder of a cache without text embeddings."""
TEXTS = ("auto", "clip", "minilm", NO_TEXT)
NORMALIZATIONS = ("own", "half")


def split_backbone(name: str) -> tuple[str, str]:
    """Return library and architecture of `library:architecture`; without a colon the library is open_clip.

    Raises UserError for an unknown library.
    """
    library, colon, architecture = name.partition(":")
    if not colon:
        return OPEN_CLIP, name
    check_choice("--backbone: library", library, LIBRARIES)
    return library, architecture


def resolve_text(text: str, library: str) -> str:
    """Return the text encoder that `auto` resolves to: clip for open_clip's backbones, minilm for others.

    Where minilm is not installed, the encoder falls back from auto to none.
    """
    if text == "clip" and library != OPEN_CLIP:
        raise UserError(f"--text: clip needs a backbone of open_clip, not of {library}; use --text minilm")
    return text if text != "auto" else "clip" if library == OPEN_CLIP else "minilm"
