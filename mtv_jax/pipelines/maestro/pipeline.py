"""Maestro: the sounds of sources, and where each is seen, to video."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from mtv_jax.audio.separation.by_text.base import SeparatorByText
from mtv_jax.audio.tracks import MIX
from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.mosaic.contexts import check_slots
from mtv_jax.diffusion.mosaic.mosaic import Mosaic, lowest_located
from mtv_jax.io.audio import Recording, fit_length
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.models.cim.config import CIMConfig
from mtv_jax.models.imagebind.config import ImageBindAudioConfig
from mtv_jax.models.unet.config import UNetConfig
from mtv_jax.names import TRACK_RATE, TRACKS, LayoutName, MaestroPreset
from mtv_jax.pipelines.base import Pipeline
from mtv_jax.pipelines.maestro.features import clip_of_frames, cut_clips, source_tokens
from mtv_jax.pipelines.maestro.hearing import check_stereo, hear_files, separate_mix, text_separator
from mtv_jax.pipelines.maestro.layout import STEREO, check_layout, fixed_layout, place_sources
from mtv_jax.pipelines.maestro.sources import Source, read_sources
from mtv_jax.pipelines.options import VideoOptions
from mtv_jax.pipelines.places import Scene
from mtv_jax.pipelines.preflight import Preflight, folder_limits
from mtv_jax.pipelines.request import (
    Limits,
    Sound,
    check_negative_prompt,
    log_adjustments,
    read_request,
)
from mtv_jax.pipelines.run import Encoded, Request
from mtv_jax.pipelines.timeline.grid import Grid
from mtv_jax.pipelines.timeline.plan import Timeline, single_window
from mtv_jax.pipelines.timeline.prompts import Prompts, check_prompt
from mtv_jax.pipelines.video import Video
from mtv_jax.typing import Params
from mtv_jax.weights.maestro_defaults import MaestroDefaults
from mtv_jax.weights.model_index import PipelineDefaults
from mtv_jax.weights.pretrained import load_config, load_model

AUDIO_ENCODER, INJECTOR = "imagebind", "cim"
"""Folders of its own networks; those of the separator are in `mtv_jax.audio.separation.by_text.audiosep`."""
_NETWORKS = {"unet": UNetConfig, AUDIO_ENCODER: ImageBindAudioConfig, INJECTOR: CIMConfig}
"""Folders of networks of which there is one kind, and the config of it."""


@dataclass(frozen=True)
class MaestroPipeline(Pipeline):
    """The pipeline of Maestro.

    Attributes:
      audio_encoder, audio_encoder_params: ImageBind's network for sounds.
      injector, injector_params: the Condition Injection Module (CIM).
    """

    audio_encoder: Any = field(kw_only=True)
    audio_encoder_params: Params = field(kw_only=True)
    injector: Any = field(kw_only=True)
    injector_params: Params = field(kw_only=True)

    needs_prompt: ClassVar[bool] = False

    def __call__(
        self,
        prompt: str = "",
        *,
        sources: Sequence[Source | str],
        audio: Sound | None = None,
        layout: LayoutName = "auto",
        source_separator: SeparatorByText | str | os.PathLike | None = None,
        mosaic: MaestroPreset | None = None,
        locating_steps: int | None = None,
        negative_prompt: str | None = None,
        **options: Any,
    ) -> Video:
        """Makes a video in which each source is seen where its box says.

        Args:
          prompt: describes the video besides its sources; may be empty, as in the paper.
          sources: what makes the sounds, as text such as `dog barking@0,.3,.5,.7` (`mtv_jax.pipelines.maestro.sources`)
            or as `Source`.
          audio: the mix that they are in, a file or its decoded sound; without it each source needs a file of its own.
          layout: where sources are seen whose place is not given (`mtv_jax.pipelines.maestro.layout`).
          source_separator: finds the sources in the mix, or the folder of one; default: the AudioSep of the folder.
          mosaic: Attention Mosaic as in the `paper`, or as in the code that was `released`, which has its own boxes for
            two sources in the layouts `lr` and `td`; default: as the folder says.
          locating_steps: steps of Object Locating, from 0 to all; Mosaic Denoising takes the others. Default: the share
            of the timesteps that the folder says (6 of 50 steps).
          negative_prompt: what guidance steers away from; default: an empty prompt.
          options: size, sampling, seed, ...: the fields of `mtv_jax.pipelines.options.VideoOptions`.

        Returns:
          The video with the mixed sound, cut or padded to its length, and the boxes of the sources. What is cut or
          padded is logged as a warning.

        Raises:
          UserError: what the other systems say of sizes and sounds; boxes that are empty or not within the frame; more
            sources than the text has tokens for; a source that is not in the mix; a layout that does not apply.
        """
        how = self.read_options(options)
        if prompt:
            check_prompt(prompt)
        maestro = self._maestro(mosaic)
        found, sounds, clip = read_call(
            self.limits, sources, audio, layout, maestro, how, tokens=self.injector.config.num_queries
        )
        config = how.config(self.defaults.sampling, ())
        check_negative_prompt(negative_prompt, config, ())
        _check_locating(locating_steps, config.sampler.num_steps)
        log_adjustments(clip, self.defaults, sounds)
        if audio is None:
            heard = hear_files(sounds, float(clip.duration))
        else:
            heard = self._separate(sounds[MIX], found, clip, source_separator, layout, force=how.force)
        places = place_sources(found, layout, heard)
        scene = Scene(
            places,
            self.locate_until(locating_steps, config.sampler.num_steps),
            maestro.options(fixed_layout(layout)),
        )
        tracks = {name: sound.mono(TRACK_RATE) for name, sound in heard.items()}
        request = Request(prompt, tracks, *how.keys(), negative_prompt, scene=scene)
        tuned = replace(self, defaults=replace(self.defaults, maestro=maestro))
        video = tuned.make(request, sounds, clip, config, how)
        return replace(
            video, boxes={name: place.boxes(clip.num_frames, clip.fps) for name, place in places.items()}
        )

    @classmethod
    def preflight(
        cls, folder: Path, arguments: Mapping[str, Any], prompts: Sequence[Prompts] = ()
    ) -> Preflight:
        """As of the base class."""
        sizes = {name: arguments[name] for name in arguments if name not in cls.own_arguments()}
        audio, layout = arguments.get("audio"), arguments.get("layout", "auto")
        tokens = _check_networks(folder).num_queries
        limits = folder_limits(folder)
        maestro = _published(limits.defaults, arguments.get("mosaic"))
        how = VideoOptions(**sizes)
        config = how.config(limits.defaults.sampling, ())
        check_negative_prompt(arguments.get("negative_prompt"), config, ())
        _check_locating(arguments.get("locating_steps"), config.sampler.num_steps)
        given = arguments.get("sources", ())
        sources, sounds, clip = read_call(limits, given, audio, layout, maestro, how, tokens=tokens)
        if audio is not None:
            text_separator(arguments.get("source_separator") or folder)
            decoded = {"sources": sources, "audio": sounds[MIX]}
        else:
            decoded = {"sources": [replace(source, sound=sounds[source.name]) for source in sources]}
        timelines = [_one_window(clip, prompt, limits.frames) for prompt in prompts]
        return Preflight({**arguments, **decoded}, clip, sounds, (), timelines)

    @classmethod
    def load_parts(cls, folder: Path, denoiser: Any, *, dtype: Any, mesh: Mesh | None) -> dict[str, Any]:
        """As of the base class."""
        _check_networks(folder)
        encoder, encoder_params = load_model(folder / AUDIO_ENCODER, dtype=dtype, mesh=mesh)
        injector, injector_params = load_model(folder / INJECTOR, dtype=dtype, mesh=mesh)
        _check_parts(folder, denoiser.config, encoder.config, injector.config)  # pyright: ignore[reportAttributeAccessIssue]
        return {
            "audio_encoder": encoder,
            "audio_encoder_params": encoder_params,
            "injector": injector,
            "injector_params": injector_params,
        }

    @property
    def tracks(self) -> tuple[str, ...]:
        """Those of clips whose sound is in separate tracks, on which systems are measured: each is a source then.

        Any others will do; a call names sources of its own.
        """
        return TRACKS

    def encode(self, requests: Sequence[Request], clip: ClipSize) -> Encoded:
        """The text, the tokens of the sources, and where they are seen; sources are numbered in their order."""
        if not all(request.tracks for request in requests):
            raise UserError(
                "a request without tracks: Maestro draws the sources of sounds; give it at least one"
            )
        text, no_text = self.encode_prompts(requests)
        count = max(len(request.tracks) for request in requests)
        names = tuple(f"source{number:02}" for number in range(count))
        tokens = np.stack([self._tokens(request, clip, count) for request in requests])
        tracks = {name: jnp.asarray(tokens[:, number]) for number, name in enumerate(names)}
        rate = jnp.full((len(requests),), float(clip.fps), jnp.float32)
        boxes = self._mosaic(requests, clip, names)
        return Encoded(Conditions(text, tracks, boxes=boxes, fps=rate), no_text=no_text)

    def _tokens(self, request: Request, clip: ClipSize, count: int) -> np.ndarray:
        """[n f q d] of the tracks of a request, those that others have more are zeros."""
        how = self._maestro()
        clips = [cut_clips(sound, clip.duration, how.clip_sampler) for sound in request.tracks.values()]
        every = [part for parts in clips for part in parts]
        networks = self.audio_encoder, self.audio_encoder_params, self.injector, self.injector_params
        tokens = source_tokens(*networks, every)
        tokens = tokens.reshape(len(clips), -1, *tokens.shape[1:])
        frames = clip_of_frames(clip.num_frames, tokens.shape[1], how.frames_per_clip)
        return fit_length(tokens[:, frames], count)

    def _mosaic(self, requests: Sequence[Request], clip: ClipSize, names: tuple[str, ...]) -> Mosaic:
        options = [request.scene.options or self._maestro().options("LR") for request in requests]
        if any(other != options[0] for other in options):
            raise UserError(
                "requests of one batch: boxes act differently in them (Scene.options); make them apart"
            )
        default = self.locate_until(None, self.defaults.sampling.num_inference_steps)
        until = [request.scene.locate_until for request in requests]
        places = [_places(request) for request in requests]
        boxes = [[place.boxes(clip.num_frames, clip.fps) for place in row.values()] for row in places]
        background = [[place.background for place in row.values()] for row in places]
        count = len(names)
        return Mosaic(
            names,
            jnp.asarray(np.stack([fit_length(np.stack(row), count) for row in boxes])),
            jnp.asarray(np.stack([fit_length(np.array(row), count) for row in background])),
            jnp.asarray([[number < len(row) for number in range(count)] for row in places]),
            jnp.asarray([default if t is None else t for t in until], jnp.float32),
            options[0],
        )

    def _maestro(self, preset: MaestroPreset | None = None) -> MaestroDefaults:
        return _published(self.defaults, preset)

    def locate_until(self, steps: int | None, num_steps: int) -> float:
        """The timestep of the last step of Object Locating, of `num_steps`; infinity if there is none.

        None steps: the share of the timesteps that the folder says.
        """
        if steps is None:
            steps = self._maestro().locating_steps
            num_steps = self.defaults.sampling.num_inference_steps
        return lowest_located(self.schedule.sampling_levels(num_steps).timesteps, steps)

    def _separate(
        self,
        mix: Recording,
        sources: Sequence[Source],
        clip: ClipSize,
        separator: SeparatorByText | str | os.PathLike | None,
        layout: LayoutName,
        *,
        force: bool,
    ) -> dict[str, Recording]:
        """The sources of a mix, in its channels if these place them."""
        found, seconds = self._separator(separator), float(clip.duration)
        return separate_mix(mix, sources, found, seconds, channels=layout == STEREO, force=force)

    def _separator(self, given: SeparatorByText | str | os.PathLike | None) -> SeparatorByText:
        """The separator that a call names, or that of the folder."""
        if isinstance(given, SeparatorByText):
            return given
        folder = self.folder if given is None else given
        if folder is None:
            raise UserError("source_separator: this pipeline was not loaded from a folder that has one")
        return text_separator(folder)


def read_call(
    limits: Limits,
    sources: Sequence[Source | str],
    audio: Sound | None,
    layout: LayoutName,
    maestro: MaestroDefaults,
    options: VideoOptions,
    *,
    tokens: int,
) -> tuple[tuple[Source, ...], dict[str, Recording], ClipSize]:
    """The sources of a call, its decoded sounds (the mix, or those of the sources by name), and the size of the video.

    `tokens` are those of one source. Raises UserError for all that is known to be wrong without the networks.
    """
    found = read_sources(sources, mixed=audio is not None)
    check_slots(len(found), tokens, limits.defaults.text.text_length)
    check_layout(layout, found, maestro)
    files = {MIX: audio} if audio is not None else {source.name: source.sound for source in found}
    given = {name: sound for name, sound in files.items() if sound is not None}
    sounds, clip = read_request(limits, given, options)
    if layout == STEREO:
        check_stereo(sounds)
    return found, sounds, clip


def _one_window(clip: ClipSize, prompt: Any, ratio: int) -> Timeline:
    """The plan of a video. Raises UserError for several prompts."""
    if not isinstance(prompt, str):
        raise UserError("prompt: Maestro takes one for the whole video, without a time")
    return single_window(Grid(clip.num_frames, clip.fps, ratio), prompt)


def _published(defaults: PipelineDefaults, preset: MaestroPreset | None) -> MaestroDefaults:
    """What a preset says, or a folder's `defaults` if none is chosen."""
    return MaestroDefaults.of_preset(preset) if preset else defaults.maestro or MaestroDefaults()


def _places(request: Request) -> Mapping[str, Any]:
    """Where the track of each source is seen, in their order. Raises UserError unless each has a place."""
    if request.scene.places is None:
        return place_sources([Source(name) for name in request.tracks], "auto")
    if set(request.scene.places) != set(request.tracks):
        raise UserError(
            f"places of {', '.join(request.scene.places)}: the tracks are {', '.join(request.tracks)}"
        )
    return {name: request.scene.places[name] for name in request.tracks}


def _check_locating(steps: int | None, num_steps: int) -> None:
    """Raises UserError for more steps of Object Locating than the sampler has."""
    if steps is not None and steps not in range(num_steps + 1):
        raise UserError(f"locating_steps {steps}: must be from 0 to the number of steps, {num_steps}")


def _check_networks(folder: Path) -> CIMConfig:
    """The config of the CIM. Raises UserError, naming the folder, for a network that is of another kind."""
    for part, kind in _NETWORKS.items():
        config = load_config(folder / part)
        if not isinstance(config, kind):
            name = type(config).__name__.removesuffix("Config")
            raise UserError(
                f"{folder / part}: a network {name}, must be {kind.__name__.removesuffix('Config')}"
            )
    return config


def _check_parts(folder: Path, denoiser: Any, encoder: Any, injector: Any) -> None:
    """Raises UserError, naming the folders, if what one network gives is not what another takes."""
    for part, given, other, taken in (
        (AUDIO_ENCODER, encoder.audio.width, INJECTOR, injector.embedding_dim),
        (INJECTOR, injector.output_dim, "the denoiser", denoiser.text_embed_dim),
    ):
        if given != taken:
            raise UserError(f"{folder}: {part}/ gives tokens of {given} numbers, {other} takes {taken}")
