"""Measures whether the right thing stands in its box: on mixes of sounding objects (`mtv_jax.theatre.objects`)."""
