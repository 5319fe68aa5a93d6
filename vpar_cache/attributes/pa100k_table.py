"""The attribute table of PA-100K: 26 outputs in 22 groups, in the order of its annotation file.

Age and view are choices, since an image has one of each. All else is 0 or 1 by itself: sleeves, trousers, shorts
and skirts too, since a person may show none of them.
"""

from __future__ import annotations

from vpar_cache.attributes.schema import Schema, binary, choice

ATTRIBUTES = (
    "Female", "AgeOver60", "Age18-60", "AgeLess18", "Front", "Side", "Back", "Hat", "Glasses", "HandBag",
    "ShoulderBag", "Backpack", "HoldObjectsInFront", "ShortSleeve", "LongSleeve", "UpperStride", "UpperLogo",
    "UpperPlaid", "UpperSplice", "LowerStripe", "LowerPattern", "LongCoat", "Trousers", "Shorts", "Skirt&Dress",
    "boots",
)  # fmt: skip
"""As the annotation file names the outputs, in their order."""

PA100K = Schema(
    "pa100k",
    (
        binary("gender", "gender female", "gender female", "gender male", "Female"),
        choice("age", "age {}", "over 60, 18 to 60, under 18"),
        choice("view", "seen from the {}", "front, side, back"),
        binary("hat", "hat", "a hat", "no hat"),
        binary("glasses", "glasses", "glasses", "no glasses"),
        binary("hand bag", "hand bag", "a hand bag", "no hand bag"),
        binary("shoulder bag", "shoulder bag", "a shoulder bag", "no shoulder bag"),
        binary("backpack", "backpack", "a backpack", "no backpack"),
        binary("objects in front", "objects in front", "holding objects in front", "holding no objects in front",
               "HoldObjectsInFront"),
        binary("short sleeves", "short sleeves", "short sleeves", "no short sleeves", "ShortSleeve"),
        binary("long sleeves", "long sleeves", "long sleeves", "no long sleeves", "LongSleeve"),
        binary("top stripes", "top stripes", "a striped top", "a top without stripes", "UpperStride"),
        binary("top logo", "top logo", "a top with a logo", "a top without a logo", "UpperLogo"),
        binary("top plaid", "top plaid", "a plaid top", "a top that is not plaid", "UpperPlaid"),
        binary("top splice", "top splice", "a top of several colors", "a top of one color", "UpperSplice"),
        binary("bottom stripes", "bottom stripes", "striped bottoms", "bottoms without stripes", "LowerStripe"),
        binary("bottom pattern", "bottom pattern", "patterned bottoms", "bottoms without a pattern",
               "LowerPattern"),
        binary("long coat", "long coat", "a long coat", "no long coat"),
        binary("trousers", "trousers", "trousers", "no trousers"),
        binary("shorts", "shorts", "shorts", "no shorts"),
        binary("skirt or dress", "skirt or dress", "a skirt or a dress", "no skirt or dress", "Skirt&Dress"),
        binary("boots", "boots", "boots", "no boots"),
    ),
    unit="image",
)  # fmt: skip
"""PA-100K: 26 outputs in 22 groups."""
