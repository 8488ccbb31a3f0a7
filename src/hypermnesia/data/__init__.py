"""Data: sources, benchmarks, scenarios and streams of mini-batches."""
