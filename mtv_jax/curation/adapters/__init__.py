"""Models of other packages in the roles of curation (`mtv_jax.curation.roles`), imported when they are used."""
