"""Models of others in the roles of curation (`mtv_jax.curation.roles`)."""
