"""Hypermnesia inside other libraries."""
