"""From attribute phrases to prompts: split, expand, template (paper, Method, Input Processing)."""

from __future__ import annotations

from pathlib import Path
from reprlib import repr as short_repr

from vpar_cache.errors import UserError, nearest
from vpar_cache.schema import Schema
from vpar_cache.toml_file import read_toml

PAPER_TEMPLATE = "the pedestrian has an attribute {}"

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

    Raises UserError for an unknown source, an unknown key, a template without {},
    or an unknown output name.
    """
    if source == "words":
        return tuple(_prompt("{}", output.name) for output in schema.outputs)
    if source == "paper":
        return tuple(_prompt(PAPER_TEMPLATE, output.phrase) for output in schema.outputs)
    path = Path(source)
    if path.suffix != ".toml":
        raise UserError(f"prompts {source!r} are unknown; {nearest(source, PROMPTS)}, or a .toml file")
    data = read_toml(path, "prompt file")
    for key in data:
        if key not in ("template", "phrases"):
            mend = nearest(key, ("template", "phrases"))
            raise UserError(f"prompt file {path}: unknown key {key[:60]!r}; {mend}")
    template, phrases = data.get("template", PAPER_TEMPLATE), data.get("phrases", {})
    if not isinstance(template, str) or template.count("{}") != 1:
        raise UserError(f"prompt file {path}: template {short_repr(template)} must hold {{}} once, for the phrase")
    if not isinstance(phrases, dict) or not all(isinstance(text, str) for text in phrases.values()):
        raise UserError(f"prompt file {path}: [phrases] must map output names to texts")
    names = [output.name for output in schema.outputs]
    for name in phrases:
        if name not in names:
            raise UserError(f"prompt file {path}: unknown output {name[:60]!r}; {nearest(name, names)}")
    return tuple(_prompt(template, phrases.get(output.name, output.phrase)) for output in schema.outputs)


def _prompt(template: str, phrase: str) -> str:
    if len(template) + len(phrase) > MAX_PROMPT_LENGTH:
        raise UserError(
            f"prompt {template[:60]!r} for {phrase[:60]!r} has over {MAX_PROMPT_LENGTH} characters; shorten it"
        )
    return template.replace("{}", phrase)
