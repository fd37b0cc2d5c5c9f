"""Cut-offs that lie where the whole data set says; a verdict is a function of evidence, config and population."""

import dataclasses
import hashlib

import numpy as np
import pytest

from mtv_jax.curation.config import AgreementConfig, CurateConfig, SizeConfig, load_curate_config
from mtv_jax.curation.decide import Rule, decide, rules
from mtv_jax.curation.evidence import FilmEvidence
from mtv_jax.curation.filters.fingerprints import to_text
from mtv_jax.curation.filters.labels import ToldApart
from mtv_jax.curation.inputs import Film
from mtv_jax.curation.population import NOBODY, Population, population_of
from mtv_jax.io.errors import UserError

CONFIG = dataclasses.replace(
    CurateConfig.plain(), agreement=AgreementConfig("imagebind:known", label_clips=3)
)
SCORES = ("keyframe_audio", "keyframe_text", "audio_text")


def clip_id(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


def text(vector):
    return to_text(np.asarray(vector, np.float16).view(np.uint16))


class Clips:
    """What is known of clips, given by their scores, labels and vectors."""

    prints = ""

    def __init__(self, *clips):
        self.clips = {clip_id(i): clip for i, clip in enumerate(clips)}

    def __iter__(self):
        found = {
            name: {"agreement": {"status": "ok", **clip[0]}} if clip[0] else {}
            for name, clip in self.clips.items()
        }
        yield FilmEvidence(Film("a.mp4", "", {"kind": "film"}), clips=found)

    def fingerprints(self):
        yield from ()

    def vectors(self):
        for name, clip in self.clips.items():
            if len(clip) > 1:
                _, label, sound, words = clip
                yield name, label, {"sound": text(sound), "label": text(words)}


def cosines(*values):
    return dict(zip(SCORES, values, strict=True))


def test_the_cut_offs_are_the_medians_of_all_clips_that_have_the_score():
    known = Clips(
        (cosines(0.1, 0.9, 0.3),),
        (cosines(0.2, 0.1, 0.3),),
        ({"keyframe_audio": 0.7},),
        (cosines(0.4, 0.4, 0.3),),
        ({},),
    )
    found = population_of(known, CONFIG)
    assert found.cuts == pytest.approx({"keyframe_audio": 0.3, "keyframe_text": 0.4, "audio_text": 0.3})
    quarter = dataclasses.replace(CONFIG.agreement, keyframe_audio=0.25, audio_text=None, keyframe_text=0.0)
    found = population_of(known, dataclasses.replace(CONFIG, agreement=quarter))
    assert found.cuts == pytest.approx({"keyframe_audio": 0.175})


def test_a_clip_has_to_be_above_all_three_medians_and_fails_at_one():
    population = Population(cosines(0.3, 0.2, 0.1))
    found = {"source": {"status": "ok", "kind": "film"}}

    def failures(*values):
        return decide(
            {**found, "agreement": {"status": "ok", **cosines(*values)}}, CONFIG, population
        ).failures

    assert failures(0.31, 0.21, 0.11) == ()
    assert failures(0.3, 0.21, 0.11) == ("low keyframe_audio",)
    assert failures(0.31, 0.1, 0.1) == ("low keyframe_text", "low audio_text")
    assert decide(found, CONFIG, population).keep  # nothing was measured
    assert [rule.threshold for rule in rules(CONFIG, population) if rule.bound == "above"] == [0.3, 0.2, 0.1]
    assert not [rule for rule in rules(CONFIG) if rule.bound == "above"]


def test_verdicts_without_agreement_do_not_look_at_the_population():
    class Unread(Clips):
        def __iter__(self):
            raise AssertionError

    assert population_of(Unread(), CurateConfig()) is NOBODY
    assert not [rule for rule in rules(CurateConfig()) if rule.stage in ("agreement", "label")]


def test_clips_of_labels_that_sound_alike_are_dropped():
    axes = np.eye(4)
    heard = {"dog": axes[0] + axes[1], "hound": axes[0] + axes[1], "rain": axes[2], "rare": axes[0] + axes[1]}
    words = dict(zip(heard, axes, strict=True))
    counts = {"dog": 4, "hound": 3, "rain": 4, "rare": 2}
    known = Clips(
        *(({}, label, heard[label], words[label]) for label, count in counts.items() for _ in range(count))
    )
    found = population_of(known, CONFIG)
    assert found.labels == {
        "dog": ToldApart(0.5, "hound"), "hound": ToldApart(0.5, "dog"), "rain": ToldApart(1.0, "dog")
    }  # fmt: skip

    def verdict(label):
        evidence = {"source": {"status": "ok", "kind": "film"}, "agreement": {"status": "ok", "label": label}}
        return decide(evidence, CONFIG, found)

    assert verdict("dog").failures == verdict("hound").failures == ("indistinguishable label",)
    assert verdict("rain").keep
    assert verdict("rare").keep  # too few clips to say
    assert Rule("indistinguishable label", "label", "told_apart", "minimum", 0.75) in rules(CONFIG, found)
    off = dataclasses.replace(CONFIG, agreement=dataclasses.replace(CONFIG.agreement, told_apart=None))
    assert population_of(known, off).labels == {}


def test_a_label_of_many_clips_is_heard_by_two_hundred_whatever_their_order(monkeypatch):
    monkeypatch.setattr("mtv_jax.curation.population._MOST", 20)
    rng = np.random.default_rng(0)
    clips = [
        ({}, name, rng.normal(size=4), np.eye(4)[i]) for i, name in enumerate(("a", "b")) for _ in range(50)
    ]
    known = Clips(*clips)
    first = population_of(known, CONFIG)
    known.clips = dict(reversed(known.clips.items()))
    assert population_of(known, CONFIG) == first
    smallest = [sorted(name for name, clip in known.clips.items() if clip[1] == label)[:20] for label in "ab"]
    few = Clips()
    few.clips = {name: known.clips[name] for names in smallest for name in names}
    assert population_of(few, CONFIG) == first


@pytest.mark.parametrize("value", ["1.5", "-0.1"])
def test_a_share_is_from_0_to_1(value):
    with pytest.raises(UserError, match=rf"config.agreement.audio_text {value}: must be from 0 to 1"):
        load_curate_config(None, {"agreement.audio_text": value})


def test_maestro_s_config_is_ten_seconds_and_its_thresholds():
    config = load_curate_config("configs/maestro/curate.py:imagebind=random,narrator", {})
    assert config.agreement == AgreementConfig("imagebind:random")
    assert config.remove_speech
    assert config.size == SizeConfig(81, 8.1, 512, 512)  # 10 s
    assert config.filters.min_motion / 100 * 512 == pytest.approx(0.1)
    assert not load_curate_config("configs/maestro/curate.py", {}).remove_speech
