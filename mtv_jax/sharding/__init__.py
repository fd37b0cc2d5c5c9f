"""Meshes and the rules that place arrays on them, by regular expressions over parameter paths."""
