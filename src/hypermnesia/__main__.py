"""`python -m hypermnesia` is the command `hypermnesia`, exit code and all."""

import sys

from hypermnesia.cli import main

if __name__ == "__main__":
    sys.exit(main())
