"""Makes prompts from attribute phrases: split, expand, template (paper, Method, Input Processing)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from reprlib import repr as short_repr
from typing import Any

from vpar_cache.attributes.schema import Schema
from vpar_cache.base.toml_file import read_toml
from vpar_cache.errors import UserError, nearest

PAPER_TEMPLATE = "the pedestrian has an attribute {}"

_KEYS = ("template", "phrases", "negatives")

PROMPTS = ("paper", "words")
"""Built-in prompt sets: the paper's template around the phrase, or the bare output name."""


def build_prompts(schema: Schema, source: str) -> tuple[str, ...]:
    """Return one prompt per output, in schema order.

    `source` is `paper`, `words`, or a TOML file:

        template = "a photo of a pedestrian with {}"
        [phrases]                          # optional, by output name
        "hair long" = "hair below the shoulders"
        [negatives]                        # optional, what 0 means; see build_negative_prompts
        "hair long" = "hair above the shoulders"

    Raises UserError for an unknown source, an unknown key, a template without {},
    or an unknown output name.
    """
    if source == "words":
        return tuple(output.name for output in schema.outputs)
    template, phrases, _ = _read_source(schema, source)
    return tuple(template.replace("{}", phrases.get(output.name, output.phrase)) for output in schema.outputs)


def build_negative_prompts(schema: Schema, source: str) -> tuple[str, ...]:
    """Return for each output the prompt of its label 0, in the same template; "" for the outputs of a choice.

    Zero-shot compares a prompt with its negative; in a choice, with the other outputs.
    """
    template, _, negatives = ("{}", {}, {}) if source == "words" else _read_source(schema, source)
    prompts: list[str] = []
    for group in schema.groups:
        for output in group.outputs:
            phrase = negatives.get(output.name) or group.negative or f"not {output.phrase}"
            prompts.append("" if group.is_choice else template.replace("{}", phrase))
    return tuple(prompts)


def _read_source(schema: Schema, source: str) -> tuple[str, dict[str, str], dict[str, str]]:
    """Return the template, and phrases and negatives by output name; the last two may be empty."""
    if source == "paper":
        return PAPER_TEMPLATE, {}, {}
    path = Path(source)
    if path.suffix != ".toml":
        raise UserError(f"prompts {source!r} are unknown; {nearest(source, PROMPTS)}, or a .toml file")
    data = read_toml(path, "prompt file")
    for key in data:
        if key not in _KEYS:
            raise UserError(f"prompt file {path}: unknown key {key[:60]!r}; {nearest(key, _KEYS)}")
    template = data.get("template", PAPER_TEMPLATE)
    if not isinstance(template, str) or template.count("{}") != 1:
        raise UserError(f"prompt file {path}: template {short_repr(template)} must hold {{}} once, for the phrase")
    binary = [group.outputs[0].name for group in schema.groups if not group.is_choice]
    phrases = _texts_by_output(data, "phrases", [output.name for output in schema.outputs], path)
    return template, phrases, _texts_by_output(data, "negatives", binary, path)


def _texts_by_output(data: Mapping[str, Any], key: str, names: Sequence[str], path: Path) -> dict[str, str]:
    texts = data.get(key, {})
    if not isinstance(texts, dict) or not all(isinstance(text, str) and text for text in texts.values()):
        raise UserError(f"prompt file {path}: [{key}] must map output names to texts")
    for name in texts:
        if name not in names:
            what = "0/1 output" if key == "negatives" else "output"
            raise UserError(f"prompt file {path}: [{key}]: unknown {what} {name[:60]!r}; {nearest(name, names)}")
    return texts
