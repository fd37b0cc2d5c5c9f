"""What an evaluation writes: one schema for `results.json`, one page, and what they are made of."""
