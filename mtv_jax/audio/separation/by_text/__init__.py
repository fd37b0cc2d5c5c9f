"""Separation of the sounds that words describe, such as "dog barking"."""
