"""Files of single networks in the form of their own programs, which `mtv_jax.convert` reads."""

ORIGINALS = {
    "demucs": "mtv_jax.weights.demucs_files:open_demucs",
    "imagebind": "mtv_jax.weights.imagebind:open_original",
    "videoclip-xl": "mtv_jax.weights.videoclip_xl:open_original",
}
"""Name of a form -> the function `(file, place_leaf) -> (module, parameters)` that opens it.

Functions are named, not imported, so that the names of the forms are known without importing JAX.
"""
