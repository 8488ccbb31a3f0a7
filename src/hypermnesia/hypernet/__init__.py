"""Hypernetworks, and any module as the target network that they make weights for."""
