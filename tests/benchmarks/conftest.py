"""The benchmarks are a package beside `src`, run from the checkout and not installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
