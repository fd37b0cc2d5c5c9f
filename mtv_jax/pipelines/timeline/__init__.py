"""The plan of a video: which latent frames are made in which window, by which text, around which keyframes.

Pure arithmetic: nothing here imports JAX or loads a network.
"""
