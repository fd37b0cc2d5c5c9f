"""The stages of a curation, in their order."""

from mtv_jax.curation.config import CurateConfig
from mtv_jax.curation.probe import ProbeConfig
from mtv_jax.curation.roles import check_model
from mtv_jax.curation.settings import Settings
from mtv_jax.curation.stages import Stage
from mtv_jax.curation.steps.agreement import Agreement
from mtv_jax.curation.steps.last import Caption, Encode
from mtv_jax.curation.steps.media import Clips, Probe
from mtv_jax.curation.steps.people import LipSync, Mouths, Persons, Speaking
from mtv_jax.curation.steps.picture import Bars, Fingerprint, Motion
from mtv_jax.curation.steps.sound import Demixing, Quality, SecondSeparation, Separation, Sound
from mtv_jax.curation.steps.speakers import Speakers


def make_stages(settings: Settings) -> list[Stage]:
    """The stages that are on; those of films come before those of clips.

    Raises UserError for the name of a model that there is not.
    """
    _check_models(settings.config)
    config, size = settings.config, settings.size
    filters, heard = config.filters, not settings.frames_only
    compared = heard and bool(config.demixing.separator)
    voices = heard and bool(config.person_detector) and bool(config.diarizer)
    second = [SecondSeparation(config.demixing.separator), Demixing()] if compared else []
    stages: list[tuple[bool, Stage]] = [
        (True, Probe(ProbeConfig(needs_sound=heard))),
        (True, Clips.of(settings)),
        (heard, Separation(settings.separator)),
        *((True, stage) for stage in second),
        (heard and bool(config.diarizer), Speakers(config.diarizer)),
        (heard and bool(config.quality.model), Quality(config.quality.model)),
        (heard and (filters.min_dbfs, filters.max_clipped) != (None, None), Sound()),
        (
            heard and bool(config.agreement.embedder),
            Agreement(config.agreement.embedder, config.remove_speech),
        ),
        (filters.min_motion is not None, Motion()),
        (filters.max_bars is not None, Bars()),
        (heard and config.duplicates.on, Fingerprint()),
        (bool(config.person_detector), Persons(config.person_detector)),
        (voices, Mouths()),
        (voices, LipSync()),
        (voices, Speaking(config.active_speaker)),
        (True, Caption(config.captioner, config.captions)),
        (
            True,
            Encode(
                size,
                settings.encoders,
                settings.vae,
                settings.frames_only,
                settings.normalize_loudness,
                config.remove_speech,
            ),
        ),
    ]
    return [stage for on, stage in stages if on]


def _check_models(config: CurateConfig) -> None:
    models = {
        "audio_quality": config.quality.model,
        "diarizer": config.diarizer,
        "person_detector": config.person_detector,
        "active_speaker": config.active_speaker,
        "captioner": config.captioner,
        "embedder": config.agreement.embedder,
    }
    for role, spec in models.items():
        if spec:  # else it is off
            check_model(role, spec)
