"""Schedules, losses, samplers and guidance. They take a denoise function, never a model."""
