"""How the task of an input is inferred."""
