"""From a folder of videos to shards."""
