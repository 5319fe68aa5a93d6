"""The long table as JSON."""

from __future__ import annotations

import json

from vpar_cache.rendering.tables import COLUMNS, ROUNDED, Document, Notes, Number, rounded


def json_text(document: Document) -> str:
    """Return {"numbers": [an object for each number], "notes": [lines]}; names as they are."""
    numbers = [_object(number) for part in document.parts for number in part.numbers]
    blocks = (block for part in document.parts for block in part.blocks)
    notes = [line for block in blocks if isinstance(block, Notes) for line in block.lines]
    return json.dumps({"numbers": numbers, "notes": notes}, indent=2, allow_nan=False) + "\n"


def _object(number: Number) -> dict[str, str | float | None]:
    ends = {name: rounded(getattr(number, name), number.unit) for name in ROUNDED}
    return {column: getattr(number, column) for column in COLUMNS} | ends
