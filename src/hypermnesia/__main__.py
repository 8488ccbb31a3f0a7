"""`python -m hypermnesia` is the command `hypermnesia`."""

from hypermnesia.cli import main

if __name__ == "__main__":
    main()
