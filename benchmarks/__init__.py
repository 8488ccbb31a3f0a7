"""Measurements of Hypermnesia's cost; `benchmarks/README.md` lists the questions."""
