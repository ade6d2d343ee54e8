"""Training and what comes of it: options, the run folder, the loop, evaluation, cross-validation."""
