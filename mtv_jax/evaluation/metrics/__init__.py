"""Metrics: arithmetic over what was read from videos. See `base.Metric`."""
