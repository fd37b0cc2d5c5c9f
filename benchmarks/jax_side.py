"""Our side of `vs_diffusers.py`: the folder the originals wrote, read by `load_model`.

Not a command: `vs_diffusers.py` starts it and communicates with it as described in `sides.py`.
"""

import time

import jax
import jax.numpy as jnp
from sides import Case, Prepared, serve

from mtv_jax import load_model
from mtv_jax.diffusion.conditions import Conditions


def forward(network: str, model):
    """What is timed, as a function of parameters and inputs."""
    if network == "dit":
        return lambda params, latents, text, timestep: model.apply(
            params, latents, timestep, Conditions(text)
        )
    if network == "vae":
        return lambda params, latents: model.apply(params, latents, method="decode")
    return lambda params, x: model.apply(params, x)


def prepare(case: Case) -> Prepared:
    """Loads and compiles; parameters are in the type of the computation, as for a large model in use."""
    dtype = jnp.dtype(case.dtype)
    model, params = load_model(case.weights, dtype=dtype)
    params = jax.tree.map(lambda x: x.astype(dtype), params)
    inputs = [jnp.asarray(x) for x in case.inputs()]
    started = time.perf_counter()
    compiled = jax.jit(forward(case.network, model)).lower(params, *inputs).compile()
    compile_seconds = time.perf_counter() - started

    def run() -> None:
        run.output = jax.block_until_ready(compiled(params, *inputs))

    run()
    return compile_seconds, run, lambda: jax.device_get(run.output).astype("float32")


if __name__ == "__main__":
    serve(prepare)
