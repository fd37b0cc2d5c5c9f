"""Separation of one mixed sound into tracks."""
