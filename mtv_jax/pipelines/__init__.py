"""From prompt and sound to video: the pipeline."""
