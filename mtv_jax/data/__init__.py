"""Records, shards and the Grain pipeline that feeds training."""
