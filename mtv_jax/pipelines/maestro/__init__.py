"""Maestro: a video in which each source of a mix of sounds is seen where its box says (Kim et al., EAAI 2025)."""
