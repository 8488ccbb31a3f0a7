"""What keeps earlier tasks in place: the output regulariser, the step, and quadratic penalties."""
