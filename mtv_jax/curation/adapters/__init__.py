"""Adapters: programs and models of others in the roles of curation. Each needs its package only when it is used."""
