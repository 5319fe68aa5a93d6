"""The built-in attribute tables by name, beside tables of your own in TOML files."""

from __future__ import annotations

from pathlib import Path

from vpar_cache.attributes.duke_table import DUKE
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.attributes.schema import Schema, read_schema
from vpar_cache.errors import UserError, nearest

SCHEMAS = {"mars": MARS, "duke": DUKE}


def load_schema(name_or_file: str) -> Schema:
    """Return the schema of `mars`, `duke`, or a TOML file. Raises UserError for anything else, see read_schema."""
    if name_or_file in SCHEMAS:
        return SCHEMAS[name_or_file]
    if Path(name_or_file).suffix != ".toml":
        raise UserError(f"schema {name_or_file!r} is unknown; {nearest(name_or_file, SCHEMAS)}, or a .toml file")
    return read_schema(Path(name_or_file))
