"""The report of a curation: one page, and the same numbers as JSON."""
