"""Records, shards and the Grain input pipeline of training."""
