"""The attribute table of Market-1501: its 27 attributes as 30 outputs in 12 groups, with their phrases.

Groups that mean the same as in MARS have the same names and phrases, so that a run on one can be scored on the
other. Values of the file: 1 or 2, of age 1 to 4; 2 is what the output says, of `clothes` too (1 = dress).
"""

from __future__ import annotations

from vpar_cache.attributes.mars_table import MARS
from vpar_cache.attributes.schema import Group, Schema, choice

_OF_MARS = {group.name: group for group in MARS.groups}
FIELDS = {
    "top length": "up", "bottom length": "down", "shoulder bag": "bag", "backpack": "backpack", "hat": "hat",
    "hand bag": "handbag", "hair": "hair", "gender": "gender", "bottom type": "clothes", "age": "age",
}  # fmt: skip
"""By group, its field in market_attribute.mat. A color is one field for each value, see COLORS."""
COLORS = {"top color": "up", "bottom color": "down"}
"""By group, how its fields start, as in upblack."""


def _as_in_mars(name: str) -> Group:
    return Group(name, _OF_MARS[name].outputs, tuple(dict.fromkeys((name, FIELDS[name]))), _OF_MARS[name].negative)


MARKET = Schema(
    "market",
    (
        *(_as_in_mars(name) for name in FIELDS if name != "age"),
        choice("top color", "{} top", "black, white, red, purple, yellow, gray, blue, green"),
        choice("bottom color", "{} bottoms",
               "black, white, pink, purple, yellow, gray, blue, green, brown"),
        _as_in_mars("age"),
    ),
    unit="image",
)  # fmt: skip
"""Market-1501: 30 outputs in 12 groups."""
