"""Figures, tables and reports about runs."""
