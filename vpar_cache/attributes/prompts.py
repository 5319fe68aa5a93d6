"""From attribute phrases to prompts: split, expand, template (paper, Method, Input Processing)."""

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

MAX_PROMPT_LENGTH = 1000
"""Characters. The text encoder reads 77 tokens, and splitting a long text into tokens takes quadratic time."""


def build_prompts(schema: Schema, source: str) -> tuple[str, ...]:
    """One prompt an output, in schema order.

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
        return tuple(_prompt("{}", output.name) for output in schema.outputs)
    template, phrases, _ = _read_source(schema, source)
    return tuple(_prompt(template, phrases.get(output.name, output.phrase)) for output in schema.outputs)


def build_negative_prompts(schema: Schema, source: str) -> tuple[str, ...]:
    """What says that an output's label is 0, in the same template; "" for the outputs of a choice.

    Zero-shot compares a yes with its no; of a choice the other outputs are the no.
    """
    template, _, negatives = ("{}", {}, {}) if source == "words" else _read_source(schema, source)
    prompts: list[str] = []
    for group in schema.groups:
        for output in group.outputs:
            phrase = negatives.get(output.name) or group.negative or f"not {output.phrase}"
            prompts.append("" if group.is_choice else _prompt(template, phrase))
    return tuple(prompts)


def _read_source(schema: Schema, source: str) -> tuple[str, dict[str, str], dict[str, str]]:
    """Template, phrases and negatives by output name; the last two may be empty."""
    if source == "paper":
        return PAPER_TEMPLATE, {}, {}
    path = Path(source)
    if path.suffix != ".toml":
        raise UserError(f"prompts {source!r} are unknown; {nearest(source, PROMPTS)}, or a .toml file")
    data = read_toml(path, "prompt file")
    for key in data:
        if key not in _KEYS:
            mend = nearest(key, _KEYS)
            raise UserError(f"prompt file {path}: unknown key {key[:60]!r}; {mend}")
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


def _prompt(template: str, phrase: str) -> str:
    if len(template) + len(phrase) > MAX_PROMPT_LENGTH:
        raise UserError(
            f"prompt {template[:60]!r} for {phrase[:60]!r} has over {MAX_PROMPT_LENGTH} characters; shorten it"
        )
    return template.replace("{}", phrase)
