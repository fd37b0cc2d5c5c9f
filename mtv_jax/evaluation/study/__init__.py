"""User studies: a blinded page for participants, and the figures of their answers."""
