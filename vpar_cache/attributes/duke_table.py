"""The attribute table of DukeMTMC-VideoReID: 36 outputs in 12 groups, with their phrases."""

from __future__ import annotations

from vpar_cache.attributes.mars_table import MOTION, POSE, QUALITY
from vpar_cache.attributes.schema import Schema, binary, choice

DUKE = Schema(
    "duke",
    (
        binary("backpack", "backpack", "a backpack", "no backpack"),
        binary("shoulder bag", "shoulder bag", "a shoulder bag", "no shoulder bag", "bag"),
        binary("hand bag", "hand bag", "a hand bag", "no hand bag", "handbag"),
        binary("boots", "boots", "boots", "no boots"),
        binary("gender", "gender female", "gender female", "gender male"),
        binary("hat", "hat", "a hat", "no hat"),
        binary("shoes", "shoes light", "light-coloured shoes", "dark shoes"),
        binary("top length", "top length long", "a long top", "a short top", "top"),
        choice("pose", "pose {}", POSE, "angle"),
        choice("motion", "motion {}", MOTION, "action"),
        choice("top color", "{} top", "black, white, red, purple, gray, blue, green, brown, complex", "upcolor"),
        choice("bottom color", "{} bottoms", "black, white, red, gray, blue, green, brown, complex", "downcolor"),
    ),
    QUALITY,
)  # fmt: skip
"""DukeMTMC-VideoReID: 36 outputs in 12 groups, in the order of its attribute table."""
