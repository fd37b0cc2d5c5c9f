"""Attention on TPUs with JAX's splash kernel (Pallas), which does not materialise the logits.

Heads here are 64 wide, while a TPU's matrix unit multiplies 128 x 128 (v5p) or 256 x 256 (v6e, Ironwood) at a time.
Both products of attention have one dimension that fills half or a quarter of it, so they reach at most that share of
the chip's peak. Two heads cannot share a pass, since their logits must not be added. To mitigate this, blocks are
large, so that the exponentials (on the vector unit) overlap with the products, and nothing is padded to 128 in memory.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as kernel
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks

from mtv_jax.typing import Array, Float

BLOCK = 512
"""Queries and keys per block. Lengths are padded to a multiple; the padding is masked."""


def splash_attention(
    q: Float[Array, "b n h d"],
    k: Float[Array, "b m h d"],
    v: Float[Array, "b m h d"],
    *,
    scale: float,
    keys: int | None = None,
    interpret: bool = False,
) -> Float[Array, "b n h d"]:
    """Softmax attention without mask on one device; `keys` is how many of the `m` keys are valid, by default all.

    `interpret` runs the kernel in Pallas' interpreter on any device, for tests.
    """

    n, m = q.shape[1], k.shape[1]
    real = m if keys is None else keys
    padded_n, padded_m = (-(-length // BLOCK) * BLOCK for length in (n, m))
    mask = masks.MultiHeadMask([masks.FullMask((padded_n, padded_m)) for _ in range(q.shape[2])])
    run = kernel.make_splash_mha(
        mask, block_sizes=_blocks(), head_shards=1, q_seq_shards=1, interpret=interpret
    )
    # Queries attend only to keys of their own segment; the padding after the valid keys is another segment.
    segments = kernel.SegmentIds(
        q=jnp.zeros(padded_n, jnp.int32), kv=(jnp.arange(padded_m) >= real).astype(jnp.int32)
    )
    q, k, v = (
        jnp.swapaxes(jnp.pad(x, [(0, 0), (0, length - x.shape[1]), (0, 0), (0, 0)]), 1, 2)
        for x, length in ((q * scale, padded_n), (k, padded_m), (v, padded_m))
    )
    out: Any = jax.vmap(lambda q, k, v: run(q.astype(k.dtype), k, v, segment_ids=segments))(q, k, v)
    return jnp.swapaxes(out, 1, 2)[:, :n]


def _blocks() -> kernel.BlockSizes:
    names = ("q", "kv", "kv_compute", "q_dkv", "kv_dkv", "kv_dkv_compute", "q_dq", "kv_dq")
    sizes: dict[str, Any] = {f"block_{name}": BLOCK for name in names}
    return kernel.BlockSizes(**sizes)
