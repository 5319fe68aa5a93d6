"""From attribute phrases to prompts: split, expand, template (paper, Method, Input Processing)."""

from __future__ import annotations

import tomllib
from pathlib import Path

from vpar_cache.errors import UserError, nearest
from vpar_cache.schema import Schema

PAPER_TEMPLATE = "the pedestrian has an attribute {}"

PROMPTS = ("paper", "words")
"""Built-in prompt sets: the paper's template around the phrase, or the bare output name."""


def build_prompts(schema: Schema, source: str) -> tuple[str, ...]:
    """One prompt an output, in schema order.

    `source` is `paper`, `words`, or a TOML file:

        template = "a photo of a pedestrian with {}"
        [phrases]                          # optional, by output name
        "hair long" = "hair below the shoulders"

    Raises UserError for an unknown source, an unknown key, a template without {},
    or an unknown output name.
    """
    if source == "words":
        return tuple(output.name for output in schema.outputs)
    if source == "paper":
        return tuple(PAPER_TEMPLATE.format(output.phrase) for output in schema.outputs)
    path = Path(source)
    if path.suffix != ".toml":
        raise UserError(f"prompts {source!r} are unknown; {nearest(source, PROMPTS)}, or a .toml file")
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"prompt file {path}: {error.strerror}; give a readable TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"prompt file {path} is no TOML: {error}") from error
    for key in data:
        if key not in ("template", "phrases"):
            raise UserError(f"prompt file {path}: unknown key {key!r}; {nearest(key, ('template', 'phrases'))}")
    template, phrases = data.get("template", PAPER_TEMPLATE), data.get("phrases", {})
    if not isinstance(template, str) or template.count("{}") != 1:
        raise UserError(f"prompt file {path}: template {template!r} must hold {{}} once, for the phrase")
    if not isinstance(phrases, dict) or not all(isinstance(text, str) for text in phrases.values()):
        raise UserError(f"prompt file {path}: [phrases] must map output names to texts")
    names = [output.name for output in schema.outputs]
    for name in phrases:
        if name not in names:
            raise UserError(f"prompt file {path}: unknown output {name!r}; {nearest(name, names)}")
    return tuple(template.replace("{}", phrases.get(o.name, o.phrase)) for o in schema.outputs)
