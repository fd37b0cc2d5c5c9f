"""Measures video files by published metrics, whoever made them."""
