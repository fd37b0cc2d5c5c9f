"""Files, video, sound, errors, logging and progress. Knows nothing of networks."""
