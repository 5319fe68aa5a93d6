"""What several benchmarks share: pairs of runs, inputs, the program under the clock, and what stands beside it."""

import sys
from pathlib import Path

# So that the scripts run in a checkout, with or without an installation.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
