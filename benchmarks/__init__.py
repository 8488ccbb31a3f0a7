"""Measurements of Hypermnesia's cost, one module a question; `benchmarks/README.md` lists them."""
