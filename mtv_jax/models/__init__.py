"""The networks, a folder each: config.py (frozen dataclass) and model.py (Flax Linen)."""
