"""The attribute table of MARS: 43 outputs in 14 groups, with their phrases.

The values were checked against real crops: "bottom type" 1 is trousers or shorts, although the authors' code
prompts that output with "bottom skirt".
"""

from __future__ import annotations

from vpar_cache.attributes.schema import Schema, binary, choice

QUALITY = (
    "occlusion", "cut-out", "multi-person", "background-dominant", "target-change", "target-miss",
    "wrong-target",
)  # fmt: skip
POSE = "frontal, lateral-frontal, lateral, lateral-back, back, varies"
MOTION = "walking, running, riding, staying, varies"

MARS = Schema(
    "mars",
    (
        binary("top length", "top length short", "short sleeves", "long sleeves", "up"),
        binary("bottom length", "bottom length short", "short bottoms above the knee", "long bottoms", "down"),
        binary("shoulder bag", "shoulder bag", "a shoulder bag", "no shoulder bag", "bag"),
        binary("backpack", "backpack", "a backpack", "no backpack"),
        binary("hat", "hat", "a hat", "no hat"),
        binary("hand bag", "hand bag", "a hand bag", "no hand bag", "handbag"),
        binary("hair", "hair long", "long hair", "short hair"),
        binary("gender", "gender female", "gender female", "gender male"),
        binary("bottom type", "bottom type trousers or shorts", "trousers or shorts", "a skirt or a dress",
               "btype"),
        choice("pose", "pose {}", POSE, "angle"),
        choice("motion", "motion {}", MOTION, "action"),
        choice("top color", "{} top", "black, purple, green, blue, gray, white, yellow, red, complex", "upcolor"),
        choice("bottom color", "{} bottoms",
               "white, purple, black, green, gray, pink, yellow, blue, brown, complex", "downcolor"),
        choice("age", "age {}", "young, teenager, adult, old"),
    ),
    QUALITY,
)  # fmt: skip
"""MARS: 43 outputs in 14 groups, in the order of the paper's Table 2."""
