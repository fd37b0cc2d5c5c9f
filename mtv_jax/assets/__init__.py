"""Bundled media and weights, with their licences."""
