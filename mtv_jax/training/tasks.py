"""Training tasks: a task initialises a model's parameters and computes the loss of a batch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp

from mtv_jax.data.transforms import to_unit
from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.losses import LossKind, denoising_loss, noised_latents, stratified_timesteps
from mtv_jax.diffusion.masks import KeyframeConfig, draw_clean_mask
from mtv_jax.diffusion.noise.vp import ScheduleConfig
from mtv_jax.io.errors import UserError
from mtv_jax.models.vae3d import LatentScale
from mtv_jax.names import TRACKS, track_kind
from mtv_jax.typing import Array, Float, Key, Params

NO_KEYFRAMES = KeyframeConfig(**{f.name: 0.0 for f in fields(KeyframeConfig)})

Metrics = dict[str, Array]


def _draw_nothing(_key: Key[Array, ""], _rows: int) -> dict[str, Array]:
    return {}


@dataclass(frozen=True)
class Task:
    """A model with its loss.

    Attributes:
      init: `(key, batch) -> params`; of the batch only shapes and dtypes are used, so it may be abstract.
      loss: `(params, batch, key) -> (loss, metrics)`, scalars; pure.
      keys: record arrays a batch must have.
      draw: `(key, rows) -> arrays [rows ...]` that the step adds to the global batch: random draws over the whole
        batch, even if gradients are accumulated over parts of it.
    """

    init: Callable[[Key[Array, ""], Any], Params]
    loss: Callable[[Params, Any, Key[Array, ""]], tuple[Array, Metrics]]
    keys: tuple[str, ...] = ()
    draw: Callable[[Key[Array, ""], int], dict[str, Array]] = _draw_nothing


@dataclass(frozen=True)
class VAELossConfig:
    """Loss of the autoencoder: reconstruction, KL and motion terms.

    Attributes:
      kind: of the reconstruction, `l1` or `mse`, of pixels in [-1, 1].
      kl_weight: on the posterior's KL divergence from a unit Gaussian, mean over latent cells.
      motion_weight: on the same distance between differences of neighbouring frames. Where most of a
        picture is static, the plain distance is insensitive to motion.
      single_frames: train on one random frame of each clip: for an autoencoder that codes
        frames one by one (`temporal_kernel_size` 1).
    """

    kind: Literal["l1", "mse"] = "l1"
    kl_weight: float = 1e-6
    motion_weight: float = 0.0
    single_frames: bool = False

    def __post_init__(self):
        if self.kind not in ("l1", "mse"):
            raise UserError(f"loss.kind {self.kind!r}: must be 'l1' or 'mse'")


def vae_task(model: Any, config: VAELossConfig) -> Task:
    """Train an autoencoder of video on batches with `video`."""

    def init(key: Key[Array, ""], batch: Mapping[str, Any]) -> Params:
        rows, frames, *picture = batch["video"].shape
        video = jnp.zeros((rows, 1 if config.single_frames else frames, *picture))
        return model.init(key, video, method=_through)

    def loss(params: Params, batch: Mapping[str, Array], key: Key[Array, ""]) -> tuple[Array, Metrics]:
        video = to_unit(batch["video"])
        if config.single_frames:
            frame_key, key = jax.random.split(key)
            chosen = jax.random.randint(frame_key, video.shape[:1], 0, video.shape[1])
            video = jnp.take_along_axis(video, chosen.reshape(-1, 1, 1, 1, 1), axis=1)
        mean, logvar = model.apply(params, video, method="encode")
        decoded = model.apply(params, sample_posterior(key, mean, logvar), method="decode")
        distance = _distance(config.kind, decoded, video)
        still = video.shape[1] == 1  # a single frame has no motion, and the mean of an empty array is NaN
        moving = (
            jnp.zeros(())
            if still
            else _distance(config.kind, jnp.diff(decoded, axis=1), jnp.diff(video, axis=1))
        )
        kl = 0.5 * jnp.mean(mean**2 + jnp.exp(logvar) - 1 - logvar)
        psnr = 10 * jnp.log10(4 / jnp.maximum(jnp.mean((decoded - video) ** 2), 1e-10))
        total = distance + config.kl_weight * kl + config.motion_weight * moving
        return total, {"reconstruction": distance, "motion": moving, "kl": kl, "psnr": psnr}

    return Task(init, loss, ("video",))


def sample_posterior(
    key: Key[Array, ""], mean: Float[Array, "b f h w c"], logvar: Float[Array, "b f h w c"]
) -> Float[Array, "b f h w c"]:
    """A draw from the diagonal Gaussian of an encoder."""
    mean, logvar = mean.astype(jnp.float32), logvar.astype(jnp.float32)
    return mean + jnp.exp(0.5 * logvar) * jax.random.normal(key, mean.shape)


@dataclass(frozen=True)
class DenoiserLossConfig:
    """Loss of the denoiser (`mtv_jax.diffusion.losses`), and the dropout of its conditions.

    Attributes:
      kind: `mse` (MTV Eq. 1) or `x0_snr` (the released code).
      scaling_factor: of the autoencoder that made the latents; None: as its config says (`mtv_jax.training.job`
        reads it beside the shards).
      drop_text: chance that a sample's text is all zeros.
      drop_tracks: chance that all tracks of a sample are zeros; independent of the text.
      drop_speech, drop_effects, drop_music: chance that a track of this kind alone is.
      motion_weight: on differences of neighbouring frames, in addition to the plain distance.
      max_weight: upper limit of the weight of `x0_snr` at any timestep; None: no limit.
      keyframes: chances of clean keyframes; by default none.
    """

    kind: LossKind = "x0_snr"
    scaling_factor: float | None = None
    drop_text: float = 0.1
    drop_tracks: float = 0.05
    drop_speech: float = 0.0
    drop_effects: float = 0.0
    drop_music: float = 0.0
    motion_weight: float = 0.0
    max_weight: float | None = None
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    keyframes: KeyframeConfig = NO_KEYFRAMES

    def __post_init__(self):
        for name in ("drop_text", "drop_tracks", *(f"drop_{track}" for track in TRACKS)):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"loss.{name} {getattr(self, name)}: must be between 0 and 1")
        if self.motion_weight < 0:
            raise UserError(f"loss.motion_weight {self.motion_weight}: must not be negative")
        if self.max_weight is not None and self.max_weight <= 0:
            raise UserError(f"loss.max_weight {self.max_weight}: must be above 0, or None for no limit")
        if self.kind == "x0_snr" and not self.schedule.x0_at_every_timestep:
            raise UserError(
                "loss.kind 'x0_snr' with prediction 'epsilon' and zero terminal SNR: pure noise has no x0 "
                "estimate; use loss.kind 'mse', or loss.schedule.zero_terminal_snr false"
            )


def denoiser_task(model: Any, config: DenoiserLossConfig) -> Task:
    """Train a denoiser on batches of latents, text and the tracks that it takes."""
    if config.scaling_factor is None:
        raise UserError("loss.scaling_factor: not given; it is the autoencoder's")
    scale, schedule = LatentScale(config.scaling_factor), config.schedule.schedule()
    tracks = model.tracks

    def init(key: Key[Array, ""], batch: Mapping[str, Any]) -> Params:
        zeros = {name: jnp.zeros(x.shape, jnp.float32) for name, x in batch.items()}
        latents = zeros["latents_mean"]
        conditions = Conditions(zeros["text"], {name: zeros[name] for name in tracks})
        return model.init(key, latents, jnp.zeros(latents.shape[0]), conditions)

    def loss(params: Params, batch: Mapping[str, Array], key: Key[Array, ""]) -> tuple[Array, Metrics]:
        posterior, noise, drop, mask = jax.random.split(key, 4)
        x0 = scale.normalise(sample_posterior(posterior, batch["latents_mean"], batch["latents_logvar"]))
        noise = jax.random.normal(noise, x0.shape)
        t = batch["timesteps"]
        clean = None
        if any(config.keyframes.probabilities()):
            clean = draw_clean_mask(mask, x0.shape[0], x0.shape[1], config.keyframes)
        conditions = Conditions(batch["text"], {name: batch[name] for name in tracks}, clean)
        conditions = drop_conditions(drop, conditions, tracks, config)
        noised = noised_latents(schedule, x0, noise, t, clean)
        prediction = model.apply(params, noised, t.astype(jnp.float32), conditions)
        losses = denoising_loss(
            schedule,
            x0,
            noise,
            t,
            prediction,
            clean_mask=clean,
            kind=config.kind,
            motion_weight=config.motion_weight,
            max_weight=config.max_weight,
        )
        return jnp.mean(losses), {}

    def draw(key: Key[Array, ""], rows: int) -> dict[str, Array]:
        return {"timesteps": stratified_timesteps(key, rows, schedule)}

    return Task(init, loss, ("latents_mean", "latents_logvar", "text", *tracks), draw)


def drop_conditions(
    key: Key[Array, ""], conditions: Conditions, tracks: Sequence[str], config: DenoiserLossConfig
) -> Conditions:
    """Conditions in float32, with text or `tracks` of some samples set to zero.

    MTV (code): text and all tracks jointly, independent of each other. Ours: each track alone too.
    """
    text_key, joint_key, *keys = jax.random.split(key, 2 + len(tracks))
    rows = conditions.text.shape[0]
    joint = jax.random.bernoulli(joint_key, config.drop_tracks, (rows,))
    text = jax.random.bernoulli(text_key, config.drop_text, (rows,))
    kept = {}
    for name, own_key in zip(tracks, keys, strict=True):
        chance = getattr(config, f"drop_{track_kind(name)}")
        alone = jax.random.bernoulli(own_key, chance, (rows,))
        kept[name] = _zero_rows(conditions.tracks[name], alone | joint)
    return replace(conditions, text=_zero_rows(conditions.text, text), tracks=kept)


def _zero_rows(value: Float[Array, "b ..."], dropped: Array) -> Float[Array, "b ..."]:
    keep = 1.0 - dropped.astype(jnp.float32)
    return value.astype(jnp.float32) * keep.reshape(-1, *(1,) * (value.ndim - 1))


def _distance(kind: str, a: Array, b: Array) -> Array:
    error = a.astype(jnp.float32) - b
    return jnp.mean(jnp.abs(error) if kind == "l1" else error**2)


def _through(module: Any, video: Array) -> Array:
    """Encoder and decoder, so that initialisation creates the parameters of both."""
    mean, _ = module.encode(video)
    return module.decode(mean)
