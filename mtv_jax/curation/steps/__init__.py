"""The stages of curation."""
