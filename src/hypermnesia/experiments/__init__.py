"""Experiments: configurations, recipes, and runs that leave a folder of results."""
