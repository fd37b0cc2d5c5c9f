"""Verdicts are a pure function of evidence and config."""

import dataclasses

import pytest

from mtv_jax.curation.config import CurateConfig, FiltersConfig, QualityConfig, load_curate_config
from mtv_jax.curation.decide import Verdict, decide, may_pass, rules
from mtv_jax.io.errors import UserError

CONFIG = CurateConfig()
FINE = {"source": {"status": "ok", "kind": "film"}}


def evidence(heard=("speech",), people=None, kind="film", **stages):
    found = {"source": {"status": "ok", "kind": kind}, "separation": {"status": "ok", "heard": list(heard)}}
    return found | ({} if people is None else {"people": {"status": "ok", "count": people}}) | stages


@pytest.mark.parametrize(
    ("given", "subsets"),
    [
        ({"kind": "talking_head", "people": 1, "heard": ("speech", "effects", "music")}, ("basic_face",)),
        ({"people": 1}, ("single_character",)),
        ({"people": 2}, ("multiple_characters",)),
        ({"people": 5, "heard": ("effects",)}, ("multiple_characters", "sound_event")),
        ({"people": 1, "heard": ("effects", "music")}, ("single_character", "sound_event", "visual_mood")),
        ({"people": 0, "heard": ("music",)}, ("visual_mood",)),
        ({"heard": ("speech", "effects")}, ("sound_event",)),
        ({}, ()),
    ],
)
def test_subsets_are_those_of_the_paper(given, subsets):
    assert decide(evidence(**given), CONFIG) == Verdict(True, (), subsets)


def test_a_dropped_clip_has_all_reasons_in_their_order_and_no_subset():
    found = evidence(
        ("music",),
        quality={"status": "ok", "ovrl": 1.0},
        sound={"status": "ok", "dbfs": -90.0},
        caption={"status": "unavailable", "reason": "none"},
        duplicates={"of": "x"},
    )
    assert decide(found, CONFIG) == Verdict(False, ("low ovrl", "silent", "duplicate", "no caption"), ())


@pytest.mark.parametrize(
    "stage",
    [
        {"quality": {"status": "not_applicable", "reason": "no speech"}},
        {"demixing": {"status": "ok", "speech": None, "others": None}},
        {},
    ],
)
def test_what_was_not_measured_drops_no_clip(stage):
    assert decide(evidence(**stage), CONFIG).keep


def test_a_stage_that_failed_drops_its_clip():
    found = evidence(motion={"status": "error", "reason": "decoder"})
    assert decide(found, CONFIG).failures == ("motion failed",)


def test_only_a_clip_that_nothing_but_failed_stages_reject_may_pass_later():
    assert may_pass(decide(evidence(caption={"status": "error", "reason": "server"}), CONFIG).failures)
    assert not may_pass(
        decide(evidence(caption={"status": "unavailable", "reason": "refused"}), CONFIG).failures
    )
    assert not may_pass(["motion failed", "silent"])


def test_each_model_of_quality_has_its_own_cut_offs():
    def failures(model, **ratings):
        config = dataclasses.replace(CONFIG, quality=QualityConfig(model=model, other={"ovrl": 9.0}))
        return decide(evidence(quality={"status": "ok", **ratings}), config).failures

    assert failures("dnsmos", ovrl=1.7) == ("low ovrl",)
    assert failures("audiobox:models/audiobox", PQ=3.9, CE=2.9, PC=1.0) == ("low CE", "low PQ")
    assert failures("audiobox:models/audiobox", PQ=4.0, CE=3.0, ovrl=1.0) == ()
    assert failures("jsonl:rate", ovrl=8.0) == ("low ovrl",)


def test_a_clip_without_a_part_of_its_sound_is_dropped():
    assert decide(evidence(clips={"status": "ok", "missing_sound": 0.25}), CONFIG).failures == (
        "without sound",
    )
    assert decide(evidence(clips={"status": "ok", "missing_sound": 0.04}), CONFIG).keep


def test_a_score_at_the_threshold_passes_and_a_threshold_is_a_field_of_the_config():
    for rule in rules(CONFIG):
        at = {rule.stage: {"status": "ok", rule.score: rule.threshold}}
        step = 1e-6 if rule.bound == "maximum" else -1e-6
        beyond = {rule.stage: {"status": "ok", rule.score: rule.threshold + step}}
        assert decide(FINE | at, CONFIG).keep
        assert decide(FINE | beyond, CONFIG).failures == (rule.name,)
    quiet = dataclasses.replace(CONFIG, filters=FiltersConfig(min_dbfs=None))
    assert decide(evidence(sound={"status": "ok", "dbfs": -120.0}), quiet).keep


def test_a_config_is_made_of_a_file_and_the_command_line():
    config = load_curate_config(None, {"filters.min_dbfs": "-50", "quality.dnsmos.ovrl": "2"})
    assert (config.filters.min_dbfs, config.quality.minimum) == (-50, {"ovrl": 2.0})
    again = load_curate_config(None, {"retries": "3"}, config)
    assert again == dataclasses.replace(config, retries=3)
    assert load_curate_config("configs/curate.py:plain", {}) == CurateConfig.plain()
    full = load_curate_config("configs/curate.py", {})
    assert full.demixing.separator == "spleeter"
    assert dataclasses.replace(full, demixing=CONFIG.demixing) == CONFIG
    with pytest.raises(UserError, match="did you mean config.filters.min_dbfs"):
        load_curate_config(None, {"filters.min_db": "1"})
