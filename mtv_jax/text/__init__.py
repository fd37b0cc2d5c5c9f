"""Prompts: the template of the paper, tokenizers, embeddings."""
