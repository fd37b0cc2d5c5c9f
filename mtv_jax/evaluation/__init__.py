"""Evaluation: suites that measure videos, the metrics they compute, and their reports."""
