"""Tracks: load, resample, separate, and turn into features aligned to latent frames."""
