"""Data sets for recognition, as they are published, as sources of a curation (`mtv_jax.curation.sources`)."""

LAYOUTS = ("vggsound", "landscape", "animal-kingdom")
"""The data sets whose layouts are known."""
