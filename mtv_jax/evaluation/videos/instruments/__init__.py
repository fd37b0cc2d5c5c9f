"""What measures a video for each metric."""
