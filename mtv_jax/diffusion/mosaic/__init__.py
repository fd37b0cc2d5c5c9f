"""Attention Mosaic (Maestro): each source of sound is drawn where its box says, in the cross-attention of a UNet."""
