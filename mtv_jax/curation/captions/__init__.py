"""Captions in the paper's template: what a describing model is asked, and what is known of a clip."""
