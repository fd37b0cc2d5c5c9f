"""The presets of the controlnet: each difference between paper and code is one field, and does what it says."""

import zlib
from dataclasses import fields, replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pipeline_folders import SMALL_DIT

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.io.errors import UserError
from mtv_jax.models.mst_controlnet import AudioInjection, MSTControlNet, MSTControlNetConfig, frame_windows
from mtv_jax.models.mtv import MTV, MTVConfig
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.names import control_tracks
from mtv_jax.ops.rope import rope_axis_dims, rope_table
from mtv_jax.weights.controlnet import config_from_json, config_to_json
from mtv_jax.weights.pretrained import load_model, save_model
from mtv_jax.weights.rules import flat_paths

RELEASED = MSTControlNetConfig(
    audio_layers=2,
    audio_channels=4,
    window=1,
    projection_width=8,
    context_tokens=2,
    width=8,
    interaction_blocks=1,
    interaction_heads=2,
)
DIFFERENCES = {
    field.name: getattr(MSTControlNetConfig.paper(), field.name)
    for field in fields(MSTControlNetConfig)
    if getattr(MSTControlNetConfig.paper(), field.name) != getattr(MSTControlNetConfig.released(), field.name)
}
FEATURES = (1, 5, 2, 4)


def random_weight(path: str, shape: tuple[int, ...]) -> jnp.ndarray:
    """The same for every form of the network that has it."""
    rng = np.random.default_rng(zlib.crc32(path.encode()))
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def params_of(model: MTV):
    shapes = parameter_shapes(model)
    leaves = [random_weight(path, leaf.shape) for path, leaf in flat_paths(shapes).items()]
    return jax.tree_util.tree_unflatten(jax.tree.structure(shapes), leaves)


@cache
def run(**changes):
    """Prediction, and the video tokens before and after the first injection."""
    model = MTV(MTVConfig(SMALL_DIT, replace(RELEASED, **changes)))
    params = params_of(model)
    keys = jax.random.split(jax.random.key(0), 4)
    audio = {
        track: jax.random.normal(key, FEATURES)
        for track, key in zip(("speech", "effects", "music"), keys[:3], strict=True)
    }
    latents = jax.random.normal(keys[3], (1, 2, 4, 6, 2))
    apply = jax.jit(partial(model.apply, mutable=["intermediates"]))
    prediction, seen = apply(params, latents, jnp.array([300.0]), Conditions(jnp.ones((1, 3, 4)), audio))
    return np.asarray(prediction), seen["intermediates"], params


def test_the_paper_differs_in_these_fields_only():
    assert set(DIFFERENCES) == {"temporal_conv", "separate_feed_forward", "borrow_qk_norm", "rope_queries"}
    assert MTVConfig.tiny_paper().controlnet == replace(MTVConfig.tiny().controlnet, **DIFFERENCES)
    assert MTVConfig.mtv_5b().controlnet == MSTControlNetConfig.released()
    assert MTVConfig.mtv_5b_paper() == replace(MTVConfig.mtv_5b(), controlnet=MSTControlNetConfig.paper())


@pytest.mark.parametrize("field", DIFFERENCES)
def test_every_difference_changes_the_prediction(field):
    changed, _, _ = run(**{field: DIFFERENCES[field]})
    assert np.abs(changed - run()[0]).max() > 1e-3


def test_the_paper_s_form_runs():
    prediction, _, _ = run(**DIFFERENCES)
    assert prediction.shape == (1, 2, 4, 6, 2)
    assert np.isfinite(prediction).all()


def test_paper_has_a_convolution_for_music_only():
    shapes = [flat_paths(parameter_shapes(MTV(MTVConfig(SMALL_DIT, replace(RELEASED, temporal_conv=conv)))))
              for conv in ("all", DIFFERENCES["temporal_conv"])]  # fmt: skip
    gone = set(shapes[0]) - set(shapes[1])
    assert set(shapes[1]) <= set(shapes[0])
    assert gone == {
        f"controlnet/{track}/conv/{leaf}" for track in ("speech", "effects") for leaf in ("kernel", "bias")
    }


def test_without_convolution_an_interval_is_the_mean_of_its_frames():
    _, seen, params = run(temporal_conv="music")
    speech = np.asarray(seen["controlnet"]["projected"][0][0])
    weights = params["params"]["controlnet"]["speech"]
    key = jax.random.split(jax.random.key(0), 4)[0]
    x = np.asarray(jax.random.normal(key, FEATURES)).reshape(5, -1)
    for name in ("proj1", "proj2", "proj3"):
        x = x @ np.asarray(weights[name]["kernel"]) + np.asarray(weights[name]["bias"])
        x = x if name == "proj3" else np.maximum(x, 0)
    x = np.stack([x[0], x[1:].mean(0)]).reshape(2, 2, 8)
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + RELEASED.norm_eps)
    want = x * np.asarray(weights["norm"]["scale"]) + np.asarray(weights["norm"]["bias"])
    np.testing.assert_allclose(speech[0], want, rtol=2e-4, atol=2e-4)


def test_without_residual_the_sound_replaces_the_hidden_states():
    for residual in (True, False):
        _, seen, params = run(injection_residual=residual)
        blocks = seen["transformer"]["blocks"]
        before = np.asarray(blocks["video_after_self_attn"][0])[0, 0]
        after = np.asarray(blocks["video_after_injection"][0])[0, 0]
        speech, effects = (np.asarray(blocks["injection"][f"cross_{t}"][0])[0] for t in ("speech", "effects"))
        added = speech + effects
        injected = added.reshape(before.shape) + (before if residual else 0)
        style = jax.tree.map(
            lambda x: np.asarray(x[0]), params["params"]["transformer"]["blocks"]["injection"]
        )
        music = np.asarray(seen["controlnet"]["projected"][0][2]).mean((1, 2))[0]
        modulation = style["music_modulation"]
        scale, shift = np.split(music @ modulation["kernel"] + modulation["bias"], 2)
        np.testing.assert_allclose(after, injected * (1 + scale) + shift, rtol=1e-3, atol=1e-3)


def owned_by(track: str, path: str) -> bool:
    return path.split("/")[-2] in {f"{name}_{track}" for name in ("up", "down", "post_norm")}


def test_each_track_has_a_feed_forward_and_a_norm_of_its_own():
    apart, shared = (
        MTV(MTVConfig(SMALL_DIT, replace(RELEASED, separate_feed_forward=on))) for on in (True, False)
    )
    given, common = flat_paths(params_of(apart)), flat_paths(params_of(shared))
    per_track = {path for path in given if any(owned_by(track, path) for track in ("speech", "effects"))}
    assert len(per_track) == 2 * 6
    # Each with the weights of the shared one they do what it does.
    same = [
        leaf if path not in per_track else common[path.replace("_speech/", "/").replace("_effects/", "/")]
        for path, leaf in given.items()
    ]
    equal = jax.tree.unflatten(jax.tree.structure(parameter_shapes(apart)), same)
    want, other = control_with(shared, params_of(shared)), control_with(apart, equal)
    for track in ("speech", "effects", "music"):
        np.testing.assert_allclose(other[track], want[track], rtol=1e-5, atol=1e-5)
    # Nothing of one track's reaches another (in one block: after it they attend to each other).
    for track, hears in (("speech", "effects"), ("effects", "speech")):
        for path in sorted(path for path in given if owned_by(track, path)):
            moved = jax.tree.unflatten(
                jax.tree.structure(equal),
                [leaf + (name == path) for name, leaf in flat_paths(equal).items()],
            )
            found = control_with(apart, moved)
            assert np.abs(found[track] - other[track]).max() > 1e-4, path
            np.testing.assert_array_equal(found[hears], other[hears], err_msg=path)


def control_with(model: MTV, params) -> dict[str, np.ndarray]:
    """The control of fixed sound by the controlnet's part of MTV's parameters."""
    keys = jax.random.split(jax.random.key(0), 3)
    audio = {
        track: jax.random.normal(key, (1, 5, 1, 2, 4))
        for track, key in zip(("speech", "effects", "music"), keys, strict=True)
    }
    own = {"params": params["params"]["controlnet"]}
    apply = _control(model.config.controlnet, model.scan_layers)
    return jax.tree.map(np.asarray, apply(own, audio, jnp.ones((1, 8))))


@cache
def _control(config: MSTControlNetConfig, scan_layers: bool):
    return jax.jit(MSTControlNet(config, scan_layers).apply)


def test_the_paper_s_form_is_saved_and_loaded_scanned_and_unscanned(tmp_path):
    config = MTVConfig(SMALL_DIT, replace(RELEASED, **DIFFERENCES, interaction_blocks=2))
    model = MTV(config)
    params = params_of(model)
    save_model(tmp_path / "scanned", model, params)
    written_out, per_layer = load_model(tmp_path / "scanned", scan_layers=False)
    assert written_out.config == config
    assert "controlnet/blocks_1/down_effects/kernel" in flat_paths(per_layer)
    for track, want in control_with(model, params).items():
        found = control_with(written_out, per_layer)[track]
        np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5)
    save_model(tmp_path / "unscanned", written_out, per_layer)
    _, back = load_model(tmp_path / "unscanned")
    jax.tree.map(np.testing.assert_array_equal, back, params)


def standardise(x):
    """A norm without weights, in the place of the backbone's."""
    return (x - x.mean(-1, keepdims=True)) / jnp.std(x, axis=-1, keepdims=True)


def inject(video, query_gain: float = 1.0, **changes) -> np.ndarray:
    """What the injection makes of video tokens [1, 2 * 6, 32] of two frames."""
    module = AudioInjection(replace(RELEASED, **changes), 2, 2)
    keys = jax.random.split(jax.random.key(1), 2)
    control = {"speech": jax.random.normal(keys[0], (1, 2, 2, 8)), "music": jnp.zeros((1, 8))}
    control["effects"] = jax.random.normal(keys[1], (1, 2, 2, 8))
    rope = rope_table((np.arange(2), np.arange(2), np.arange(3)), rope_axis_dims(16))
    args = (video, control, (standardise, standardise), tuple(map(jnp.asarray, rope)))
    params: Any = module.init(jax.random.key(2), *args)
    for track in ("speech", "effects"):
        kernel = params["params"][f"attn_{track}"]["to_q"]["kernel"]
        params["params"][f"attn_{track}"]["to_q"]["kernel"] = 30 * query_gain * kernel
    return np.asarray(module.apply(params, *args))


def test_rotated_queries_know_their_place():
    same = jnp.broadcast_to(jax.random.normal(jax.random.key(0), (32,)), (1, 12, 32))
    rotated, plain = (np.ptp(inject(same, rope_queries=r)[0, :6], axis=0).max() for r in (True, False))
    assert plain < 1e-6
    assert rotated > 1e-3


def test_borrowed_norms_make_the_size_of_queries_not_matter():
    video = jax.random.normal(jax.random.key(0), (1, 12, 32))
    for borrowed in (True, False):
        once, twice = (inject(video, gain, borrow_qk_norm=borrowed) for gain in (1.0, 2.0))
        assert (np.abs(once - twice).max() < 1e-4) == borrowed


ABLATED = ("separate_extraction", "separate_injection")


def control_of(off: str | None, louder: str, **changes) -> tuple[Any, ...]:
    """The control, and what it is when the last frames of one track are others; the module and its parameters."""
    config = replace(RELEASED, **({off: False} if off else {}), **changes)
    module = MSTControlNet(config)
    keys = dict(
        zip(("speech", "effects", "music", "speech2"), jax.random.split(jax.random.key(0), 4), strict=True)
    )
    names = control_tracks(config.num_speakers)
    audio = {name: jax.random.normal(keys[name], (1, 5, 1, 2, 4)) for name in names}
    shapes = jax.eval_shape(module.init, jax.random.key(1), audio, jnp.ones((1, 8)))
    leaves = [0.5 * random_weight(path, leaf.shape) for path, leaf in flat_paths(shapes).items()]
    params = jax.tree.unflatten(jax.tree.structure(shapes), leaves)
    other = audio | {louder: audio[louder].at[:, 1:].add(1.0)}
    apply = _control(config, module.scan_layers)
    return tuple(apply(params, given, jnp.ones((1, 8))) for given in (audio, other))


def test_music_interacts_only_without_separate_extraction():
    for off, interacts in ((None, False), ("separate_extraction", True)):
        plain, other = control_of(off, "music")
        assert plain["music"].shape == (1, 8)
        assert (np.abs(other["music"] - plain["music"]) > 1e-3).any()
        for track in ("speech", "effects"):
            changed = np.abs(other[track] - plain[track]).max(axis=(0, 2, 3)) > 1e-4
            # Interaction is interval by interval: the first frame is as it was.
            assert changed.tolist() == [False, interacts]


@pytest.mark.parametrize("num_speakers", [1, 2])
def test_without_separate_injection_all_tracks_are_one_context(num_speakers):
    apart, _ = control_of(None, "music", num_speakers=num_speakers)
    plain, other = control_of("separate_injection", "music", num_speakers=num_speakers)
    assert plain.keys() == {"shared"}
    tokens = RELEASED.context_tokens
    assert plain["shared"].shape == (1, 2, (num_speakers + 2) * tokens, 8)
    for i, track in enumerate(control_tracks(num_speakers)[:-1]):
        np.testing.assert_array_equal(plain["shared"][:, :, i * tokens : (i + 1) * tokens], apart[track])
    changed = np.abs(other["shared"] - plain["shared"]).max(axis=(0, 3)) > 1e-4
    # Speech and effects do not hear the music here either, until the cross-attention.
    assert changed.tolist() == [
        [False] * changed.shape[1],
        [False] * (changed.shape[1] - tokens) + [True] * tokens,
    ]


def test_a_shared_context_reaches_its_own_interval_and_scales_nothing():
    module = AudioInjection(replace(RELEASED, separate_injection=False), 2, 2)
    keys = jax.random.split(jax.random.key(1), 2)
    video, shared = jax.random.normal(keys[0], (1, 12, 32)), jax.random.normal(keys[1], (1, 2, 6, 8))
    args = ((standardise, standardise), None)
    params = module.init(jax.random.key(2), video, {"shared": shared}, *args)
    assert params["params"].keys() == {"attn_shared", "norm_shared"}
    once, twice = (
        np.asarray(module.apply(params, video, {"shared": x}, *args))
        for x in (shared, shared.at[:, 1].add(1.0))
    )
    assert (np.abs(twice - once).max(axis=(0, 2)) > 1e-5).tolist() == [False] * 6 + [True] * 6


@pytest.mark.parametrize("off", [ABLATED[:1], ABLATED[1:], ABLATED])
def test_ablations_are_saved_and_loaded(off, tmp_path):
    model = MTV(MTVConfig(SMALL_DIT, replace(RELEASED, **dict.fromkeys(off, False))))
    params = params_of(model)
    save_model(tmp_path / "model", model, params)
    again, loaded = load_model(tmp_path / "model")
    assert again.config.controlnet == model.config.controlnet
    jax.tree.map(np.testing.assert_array_equal, loaded, params)


RATIOS = (1, 2, 4, 8)


@pytest.mark.parametrize("ratio", RATIOS)
def test_sound_frames_are_one_and_a_ratio_for_every_further_interval(ratio):
    config = replace(RELEASED, temporal_compression_ratio=ratio)
    assert [config.sound_frames(intervals) for intervals in (1, 2, 13)] == [1, 1 + ratio, 1 + 12 * ratio]


@pytest.mark.parametrize("conv", ["all", "music"])
@pytest.mark.parametrize("ratio", RATIOS[:3])
def test_an_interval_hears_the_windows_of_its_own_frames(ratio, conv):
    config = replace(RELEASED, temporal_compression_ratio=ratio, temporal_conv=conv, window=3)
    module, frames = MSTControlNet(config), config.sound_frames(4)
    keys = dict(zip(("speech", "effects", "music"), jax.random.split(jax.random.key(0), 3), strict=True))
    sound = {track: jax.random.normal(key, (1, frames, 2, 4)) for track, key in keys.items()}

    def windowed(sound):
        return {track: frame_windows(x, config.window) for track, x in sound.items()}

    params = module.init(jax.random.key(1), windowed(sound), jnp.ones((1, 8)))
    apply = jax.jit(lambda sound: module.apply(params, windowed(sound), jnp.ones((1, 8))))
    plain = apply(sound)
    assert plain["speech"].shape == plain["effects"].shape == (1, 4, 2, 8)
    assert plain["music"].shape == (1, 8)
    for frame in range(frames):
        other = apply(sound | {"speech": sound["speech"].at[:, frame].add(3.0)})
        heard = {-(-near // ratio) for near in range(max(frame - 1, 0), min(frame + 2, frames))}
        changed = np.abs(other["speech"] - plain["speech"]).max(axis=(0, 2, 3)) > 1e-5
        assert set(np.flatnonzero(changed)) == heard


def test_without_compression_there_is_nothing_to_convolve():
    model = MTV(MTVConfig(SMALL_DIT, replace(RELEASED, temporal_compression_ratio=1)))
    assert not [path for path in flat_paths(parameter_shapes(model)) if "/conv/" in path]


def test_sound_of_another_length_than_the_video_is_refused():
    model = MTV(MTVConfig(SMALL_DIT, replace(RELEASED, temporal_compression_ratio=1)))
    shapes = parameter_shapes(model)
    given, text = (jnp.zeros((1, 2, 4, 6, 2)), jnp.zeros(1)), jnp.zeros((1, 3, 4))

    def predict(frames):
        audio = dict.fromkeys(("speech", "effects", "music"), jnp.zeros((1, frames, 2, 4)))
        return jax.eval_shape(lambda params: model.apply(params, *given, Conditions(text, audio)), shapes)

    assert predict(2).shape == (1, 2, 4, 6, 2)
    # 3 intervals would divide the 12 tokens of the two frames.
    with pytest.raises(UserError, match="sound of 3 frames for 2 latent frames: this model takes 2"):
        predict(3)


def test_a_config_without_a_ratio_is_of_four_frames():
    values = config_to_json(RELEASED)
    del values["temporal_compression_ratio"]
    assert config_from_json(values).temporal_compression_ratio == 4


def test_presets_build_at_full_size():
    counts = {}
    for name in ("mtv_5b", "mtv_5b_paper"):
        shapes = flat_paths(parameter_shapes(MTV(getattr(MTVConfig, name)())))
        counts[name] = sum(leaf.size for path, leaf in shapes.items())
    channels, width = 32 * 768, 768
    convolutions = 2 * (2 * channels * channels + channels)
    # Of each of four blocks one more: two products with their biases, and the norm before them.
    feed_forwards = 4 * (2 * 4 * width * width + 4 * width + width + 2 * width)
    assert counts["mtv_5b"] - counts["mtv_5b_paper"] == convolutions - feed_forwards


@pytest.mark.parametrize("preset", ["tiny", "released", "paper"])
def test_presets_survive_config_json(preset):
    config = getattr(MSTControlNetConfig, preset)()
    assert config_from_json(config_to_json(config)) == config


def test_configs_that_cannot_be_are_named():
    with pytest.raises(UserError, match="temporal_conv"):
        replace(RELEASED, temporal_conv="speech")
    with pytest.raises(UserError, match="temporal_compression_ratio 3: must be a power of 2"):
        replace(RELEASED, temporal_compression_ratio=3)
    for name in ("temporal_compression_ratio", "window", "interaction_heads", "context_tokens"):
        with pytest.raises(UserError, match=f"{name} 0: must be at least 1"):
            replace(RELEASED, **{name: 0})
    with pytest.raises(UserError, match="interaction_heads 7: must divide the width"):
        replace(RELEASED, interaction_heads=7)
    with pytest.raises(UserError, match="zero_init_injection without injection_residual"):
        replace(RELEASED, zero_init_injection=True, injection_residual=False)
    for count in (0, 9):
        with pytest.raises(UserError, match="num_speakers"):
            replace(RELEASED, num_speakers=count)
    with pytest.raises(UserError, match="patch_size_t"):
        MTVConfig(replace(SMALL_DIT, patch_size_t=2), RELEASED)
