"""Maestro: sounds of sources, and where each is seen, to video."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from mtv_jax.audio.separation.by_text.audiosep import AudioSep
from mtv_jax.audio.separation.by_text.base import SeparatorByText
from mtv_jax.audio.silence import note_silence
from mtv_jax.audio.tracks import MIX
from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.mosaic.boxes import LAYOUTS, Layout
from mtv_jax.diffusion.mosaic.contexts import check_slots
from mtv_jax.diffusion.mosaic.mosaic import Mosaic
from mtv_jax.diffusion.samplers import sampler_steps
from mtv_jax.io.audio import Recording
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.names import TRACK_RATE
from mtv_jax.pipelines.base import Pipeline
from mtv_jax.pipelines.maestro.features import clip_of_frames, cut_clips, num_clips, source_tokens
from mtv_jax.pipelines.maestro.layout import LayoutName
from mtv_jax.pipelines.maestro.scene import Heard, hear, place
from mtv_jax.pipelines.maestro.sources import Source, read_sources
from mtv_jax.pipelines.options import VideoOptions
from mtv_jax.pipelines.places import Place, Scene
from mtv_jax.pipelines.preflight import folder_limits
from mtv_jax.pipelines.request import Sound, check_negative_prompt, check_prompt, log_adjustments, read_request
from mtv_jax.pipelines.run import Encoded, Request
from mtv_jax.pipelines.video import Video
from mtv_jax.typing import Array, Params
from mtv_jax.weights.maestro_defaults import MaestroDefaults, MaestroPreset
