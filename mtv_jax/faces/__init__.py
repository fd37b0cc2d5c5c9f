"""Faces: found in pictures, and followed over frames."""
