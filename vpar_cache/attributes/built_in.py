"""The built-in attribute tables by name, beside tables of your own in TOML files."""

from __future__ import annotations

from pathlib import Path

from vpar_cache.attributes.duke_table import DUKE
from vpar_cache.attributes.market_table import MARKET
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.attributes.pa100k_table import PA100K
from vpar_cache.attributes.schema import Schema, read_schema
from vpar_cache.errors import UserError, nearest

SCHEMAS = {"mars": MARS, "duke": DUKE, "market": MARKET, "pa100k": PA100K}


def load_schema(name_or_file: str) -> Schema:
    """Return the schema of a built-in name or a TOML file. Raises UserError for anything else, see read_schema."""
    if name_or_file in SCHEMAS:
        return SCHEMAS[name_or_file]
    if Path(name_or_file).suffix != ".toml":
        raise UserError(f"schema {name_or_file!r} is unknown; {nearest(name_or_file, SCHEMAS)}, or a .toml file")
    return read_schema(Path(name_or_file))
