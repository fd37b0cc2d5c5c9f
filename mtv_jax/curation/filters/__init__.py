"""Scores of clips, from pictures and sounds. Functions without thresholds for a verdict: those are the config's."""
