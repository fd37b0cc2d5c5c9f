"""Audio tracks: loading, resampling, separation, and features aligned to video frames."""
