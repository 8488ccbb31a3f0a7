"""The machine as far as it decides the last digits."""

from __future__ import annotations

import hashlib
import platform
import re
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch

_VECTORS = re.compile(r"sse|avx|fma|amx|bmi|f16c|asimd|sve")


def fingerprint() -> dict[str, Any]:
    """Where it is the same, so are all bits."""
    return {
        "processor": _processor(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "built": hashlib.sha256(torch.__config__.show().encode()).hexdigest()[:16],
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    """Its model and the vector instructions that it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    fields = {
        key.strip(): value.strip() for key, _, value in (each.partition(":") for each in lines)
    }
    flags = fields.get("flags", fields.get("Features", "")).split()
    names = ("vendor_id", "cpu family", "model", "stepping", "model name")
    model = " ".join(fields[name] for name in names if name in fields)
    return f"{model}: {' '.join(sorted(flag for flag in flags if _VECTORS.match(flag)))}"
