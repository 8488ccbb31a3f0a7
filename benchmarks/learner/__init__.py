"""What the learner does by default, on streams of tasks on which nothing was tuned."""
