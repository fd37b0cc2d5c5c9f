"""Optimiser, state, steps, checkpoints and the one training loop."""
