"""Which models judge a data set, and every threshold of its verdicts, with the reason for its default."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mtv_jax.curation.captions.config import CaptionsConfig
from mtv_jax.curation.shots import ShotsConfig
from mtv_jax.io.config import load_config, override
from mtv_jax.io.errors import UserError
from mtv_jax.io.trees import from_dict, to_tree


@dataclass(frozen=True)
class DnsmosMinimum:
    """The least that is kept of DNSMOS's ratings, 1 to 5 (`adapters/dnsmos.py`); None: not judged by.

    Attributes:
      ovrl: of separated speech, clean voices are above 2, those in noise as loud as they are below 1.5.
      sig, bak, p808: off, since `ovrl` weighs the first two, and the last rates the same by another scale.
    """

    ovrl: float | None = 1.8
    sig: float | None = None
    bak: float | None = None
    p808: float | None = None


@dataclass(frozen=True)
class AudioboxMinimum:
    """The least that is kept of Audiobox-aesthetics' ratings, 1 to 10 (`adapters/audiobox.py`); None: not judged by.

    MTV drops low ratings (section 3.1) and gives no number, and neither does the model's paper (arXiv:2502.05139). The
    defaults are in the lower third of the scale, so that they drop what is plainly bad and no more. They were measured
    on nothing: look at the clips around the 25, 50 and 75 % marks in `curate report`, and raise them.

    Attributes:
      PQ: production quality: clarity, fidelity, dynamics. It rates the recording, which is what the filter is for.
      CE: enjoyment of the content, which is low for noise; lower than PQ, since a good recording of traffic is of use.
      CU, PC: off. Usefulness follows the other two, and complexity counts sources: a lone voice has a low one.
    """

    PQ: float | None = 4.0
    CE: float | None = 3.0
    CU: float | None = None
    PC: float | None = None


@dataclass(frozen=True)
class QualityConfig:
    """Whose sound is good enough.

    Attributes:
      model: of the role `audio_quality`; "" turns it off.
      dnsmos, audiobox: the cut-offs of these models.
      other: score -> the least that is kept, of any other model (`jsonl:COMMAND`).
    """

    model: str = "dnsmos"
    dnsmos: DnsmosMinimum = field(default_factory=DnsmosMinimum)
    audiobox: AudioboxMinimum = field(default_factory=AudioboxMinimum)
    other: Mapping[str, float] = field(default_factory=dict)

    @property
    def minimum(self) -> dict[str, float]:
        """Score -> the least that is kept, of the model's own scores."""
        own = {"dnsmos": self.dnsmos, "audiobox": self.audiobox}.get(self.model.partition(":")[0])
        found = dict(self.other) if own is None else asdict(own)
        return {score: least for score, least in sorted(found.items()) if least is not None}


@dataclass(frozen=True)
class DemixingConfig:
    """MTV's demixing filter: two separators have to agree.

    Attributes:
      separator: the second one, of two stems; "" turns the filter off, as by default, since Spleeter's weights are
        installed apart (`make spleeter`); `configs/curate.py` has it on.
      max_speech: largest distance of the two speech tracks (`filters/demixing.py`), 0 to 1. Of speech with music or
        effects 10 dB above to 10 dB below it, separated by DeepFilterNet 3 and Spleeter, .5 drops 86 % of the clips
        with a voice below 0 dB SI-SDR, and 9 % of those with both above 5 dB (`benchmarks/demixing_filter.py`).
      max_others: the same of a comparable rest. It is larger, since what a separator leaves of the voice counts for
        more in a quiet background: up to .6 where both separators are good.
    """

    separator: str = ""
    max_speech: float = 0.5
    max_others: float = 0.65


@dataclass(frozen=True)
class DuplicatesConfig:
    """Clips that show and sound like another one.

    Attributes:
      on: whether clips are compared.
      max_picture_bits: of 64, median over frames, that may differ. Copies at half the size and a low quality differ
        by up to 14; 1 % of pairs of other clips of one film do, which other sounds keep apart.
      max_sound_distance: share of bits of the sound's hashes that may differ: up to .3 in copies with noise 25 dB
        below, .41 and more in other sounds.
    """

    on: bool = True
    max_picture_bits: int = 12
    max_sound_distance: float = 0.32


@dataclass(frozen=True)
class FiltersConfig:
    """Filters beyond MTV's; None turns one off.

    Attributes:
      min_motion: optical flow (Farneback at 2 fps), percent of the picture's width. Photographs that were encoded as
        video are below .02, the stillest shots of a film above .03, a talking head about .5.
      max_bars: share of the picture that black bars may have.
      min_dbfs: RMS level of the mix. MTV calls a track silent below -45 dB; the mix of a quiet film may be lower.
      max_clipped: share of the mix's samples at full scale.
      max_missing_sound: seconds of a clip for which the film has no sound, because it begins late or ends early. They
        are silent in the clip, so what is seen then is heard by nobody. Encoders' padding is below .05.
    """

    min_motion: float | None = 0.05
    max_bars: float | None = 0.15
    min_dbfs: float | None = -60.0
    max_clipped: float | None = 0.01
    max_missing_sound: float | None = 0.1


@dataclass(frozen=True)
class AgreementConfig:
    """Clips whose picture, sound and label belong together (Maestro's curation).

    Attributes:
      embedder: a model of the role `embedder`; "" turns it off.
      keyframe_audio, keyframe_text, audio_text: the share of the data set that a clip has to be above by each cosine.
        Maestro takes the medians, chosen by looking at clips around the 25, 50 and 75 % marks, which `curate report`
        shows. None or 0: not judged by.
      told_apart: how well the sounds of a label's clips have to be told from those of any other label
        (`filters/labels.py`), .5 to 1. Maestro drops labels that are hard to tell apart, and gives no number: .75 is
        half way from chance to certainty, and was measured on nothing. None: not judged by.
      label_clips: a label with fewer clips is not judged: with 10 clips each, labels that are alike reach .75 by chance
        in 3 % of pairs.
    """

    embedder: str = ""
    keyframe_audio: float | None = 0.5
    keyframe_text: float | None = 0.5
    audio_text: float | None = 0.5
    told_apart: float | None = 0.75
    label_clips: int = 10

    def __post_init__(self):
        for name in ("keyframe_audio", "keyframe_text", "audio_text", "told_apart"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise UserError(f"config.agreement.{name} {share}: must be from 0 to 1")
        if self.label_clips < 1:
            raise UserError(f"config.agreement.label_clips {self.label_clips}: must be at least 1")

    @property
    def shares(self) -> dict[str, float]:
        """Score -> the share of the data set that a clip has to be above."""
        names = ("keyframe_audio", "keyframe_text", "audio_text")
        found = {name: getattr(self, name) for name in names}
        return {name: share for name, share in found.items() if share}


@dataclass(frozen=True)
class SizeConfig:
    """Length and size of clips, where the command does not say; None: as the pipeline of `--encoders` was trained."""

    num_frames: int | None = None
    fps: float | None = None
    height: int | None = None
    width: int | None = None


@dataclass(frozen=True)
class VoiceOverConfig:
    """Clips with speech of nobody who is seen.

    Attributes:
      rule: `paper`: a clip is dropped if it has speech and, meanwhile, neither a person in view nor one who speaks (MTV
        section 3.2). `strict` (ours) also drops speech over a person who is seen but does not say it: networks for
        active speakers take moving lips with another voice for speech, which is what voice-over looks like.
      min_in_view: share of the time with speech in which somebody has to be in view or speak.
      min_sync: how well mouths and voices have to agree (`filters/lip_sync.py`), for `strict`. Of people who speak
        .2 to .55 are usual. Other voices over silent faces reach it by chance in 10 % of clips of 4 s, and in 19 % of
        those of 2 s, of which it also drops 20 % of those who speak (`benchmarks/voice_over.py`).
    """

    rule: str = "strict"
    min_in_view: float = 0.5
    min_sync: float = 0.2

    def __post_init__(self):
        if self.rule not in ("paper", "strict"):
            raise UserError(f"config.voice_over.rule {self.rule!r}: must be paper or strict")


@dataclass(frozen=True)
class CurateConfig:
    """How clips are found and judged.

    Attributes:
      remove_speech: whether the separator's speech is taken out of the sound that `agreement` hears, for films with a
        narrator; what is left has to be as loud as `filters.min_dbfs`.
      retries: how often a stage that fails on an item is tried again before the item is quarantined.
      diarizer: a model of the role `diarizer`, which says who speaks; "" turns it off.
      person_detector: a model of the role `person_detector`; "" turns it off, and the filter of voice-over with it.
      active_speaker: a model of the role `active_speaker`.
      captioner: a model of the role `captioner`. `detectors` takes the prompt beside the film or, without one, writes
        what the other stages found, a stub; `sidecar` takes the prompt only; `endpoint`, `local:FOLDER` and
        `jsonl:COMMAND` ask a model.
      short_side: pixels of the shorter side of kept clips, which are never enlarged: enough for every size that the
        networks of this package are trained at.
    """

    shots: ShotsConfig = field(default_factory=ShotsConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)
    demixing: DemixingConfig = field(default_factory=DemixingConfig)
    duplicates: DuplicatesConfig = field(default_factory=DuplicatesConfig)
    filters: FiltersConfig = field(default_factory=FiltersConfig)
    agreement: AgreementConfig = field(default_factory=AgreementConfig)
    remove_speech: bool = False
    size: SizeConfig = field(default_factory=SizeConfig)
    diarizer: str = "resemblyzer"
    person_detector: str = "mtcnn"
    active_speaker: str = "mouth_motion"
    voice_over: VoiceOverConfig = field(default_factory=VoiceOverConfig)
    captioner: str = "detectors"
    captions: CaptionsConfig = field(default_factory=CaptionsConfig)
    retries: int = 1
    short_side: int = 720

    def __post_init__(self):
        if self.retries < 0:
            raise UserError(f"config.retries {self.retries}: must be at least 0")

    @classmethod
    def plain(cls) -> "CurateConfig":
        """Every clip of every film, cut at no shot and judged by nothing: for films that were chosen before."""
        return cls(
            shots=ShotsConfig(detector="whole"),
            quality=QualityConfig(model=""),
            demixing=DemixingConfig(separator=""),
            duplicates=DuplicatesConfig(on=False),
            filters=FiltersConfig(None, None, None, None, None),
            diarizer="",
            person_detector="",
            captioner="sidecar",
        )

    def to_json(self) -> dict[str, Any]:
        """JSON, which `mtv_jax.io.trees.from_dict` reads."""
        return asdict(self)


def load_curate_config(
    spec: str | None, overrides: Mapping[str, str], base: CurateConfig | None = None
) -> CurateConfig:
    """The config of a file, or `base`, with `--config.KEY=VALUE`. Raises UserError for unknown keys and bad values."""
    if spec is None:
        tree = to_tree(base or CurateConfig())
        for key, text in overrides.items():
            override(tree, key, text)
    else:
        tree = load_config(spec, overrides)
    return from_dict(CurateConfig, tree.to_dict(), "config")
