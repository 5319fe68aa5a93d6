"""What the scores of a run say in one sentence: how far it is above what sees no image, or that it is not."""

from __future__ import annotations

from collections.abc import Sequence

from vpar_cache.metrics.evaluation import Evaluation
from vpar_cache.metrics.scoring import PROTOCOLS, protocols_of

LEVEL = 0.05
"""With a higher p a score is not told from that of shuffled predictions."""


def verdict(found: Evaluation) -> str:
    """Return one sentence about the average F1 under every protocol, without a name at its start.

    "F1 is above the best constant by 16.90 (vtf), ... points, and above its own predictions shuffled under all
    four protocols (p at most 0.005)." For images, their mA comes before it.
    """
    parts = [_against_constant(found), _against_shuffled(found)]
    f1 = f"F1 is {', and '.join(filter(None, parts))}." if any(parts) else ""
    return " ".join(filter(None, (_mean_accuracy(found), f1)))


def _mean_accuracy(found: Evaluation) -> str:
    """Return mA, which papers on images print first; empty for tracklets."""
    if found.unit != "image":
        return ""
    protocol = found.protocols[0]
    constant = found.constant_of(protocol, None, "mA")
    against = "" if constant is None else f", that of the best constant {100 * constant:.2f}"
    return f"mA is {100 * found.scores[protocol].average['mA']:.2f}{against}."


def _against_constant(found: Evaluation) -> str:
    if not found.best_constant:
        return ""
    distance = {
        name: 100 * (found.scores[name].average["f1"] - found.best_constant[name].average["f1"])
        for name in protocols_of(found.unit)
    }
    above = [f"{value:.2f} ({name})" for name, value in distance.items() if value > 0]
    below = [f"{name} ({value:.2f})" for name, value in distance.items() if value <= 0]
    said = f"above the best constant by {_listed(above)} points" if above else ""
    missed = f"not above {'it' if above else 'the best constant'} under {_listed(below)}" if below else ""
    return " but ".join(filter(None, (said, missed)))


def _against_shuffled(found: Evaluation) -> str:
    if not found.shuffled:
        return ""
    luck = {name: found.shuffled[name].average["f1"].p for name in protocols_of(found.unit)}
    above = [name for name, p in luck.items() if p <= LEVEL]
    below = [f"{name} (p {p:.3f})" for name, p in luck.items() if p > LEVEL]
    if len(above) == len(PROTOCOLS):
        return f"above its own predictions shuffled under all four protocols (p at most {max(luck.values()):.3f})"
    highest = max((luck[name] for name in above), default=0.0)
    said = f"above its own predictions shuffled under {_listed(above)} (p at most {highest:.3f})" if above else ""
    missed = f"not above {'them' if above else 'its own predictions shuffled'} under {_listed(below)}"
    return " but ".join(filter(None, (said, missed)))


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
