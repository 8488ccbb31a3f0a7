"""Run the Python examples of a Markdown file in an empty folder, without the repository."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path


def examples(text: str) -> list[str]:
    """Return the code of its ```python blocks, in order."""
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


if __name__ == "__main__":
    found = examples(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if not found:
        sys.exit(f"{sys.argv[1]} has no Python example")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", "\n".join(found)], cwd=folder, check=True)  # noqa: S603 - our own
