"""Prompts: the paper's template, tokenizers and embeddings."""
