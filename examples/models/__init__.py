"""Networks that examples start from."""
