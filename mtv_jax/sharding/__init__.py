"""Device meshes, and rules over parameter paths that shard arrays on them."""
