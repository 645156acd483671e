"""Lets the tests of this folder import `training_runs`, beside them, and `tiny_cache` of the training tests."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "training")]
