"""Files, video, sound, errors, logging and progress. Independent of the networks."""
