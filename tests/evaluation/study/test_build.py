"""A study is blinded, its orders differ, and clips that cannot be shown are left out with a message."""

import json
import re

import av
import numpy as np
import pytest
from study_folders import write_system

from mtv_jax import evaluate
from mtv_jax.evaluation.study.build import _even
from mtv_jax.evaluation.study.design import Chosen, design, read_key
from mtv_jax.evaluation.study.form import FORMS
from mtv_jax.io.audio import read_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.video import probe, read_video

IDS = ("sea", "wood", "town")
SHADES = {"oursys": 60, "othersys": 160}


@pytest.fixture(scope="module")
def systems(tmp_path_factory):
    folder = tmp_path_factory.mktemp("systems")
    return [str(write_system(folder / name, IDS, shade)) for name, shade in SHADES.items()]


@pytest.fixture(scope="module")
def study(systems, tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    assert (
        evaluate.main(
            [
                "study",
                "build",
                *systems,
                "--form",
                "mtv",
                "--participants",
                "4",
                "--seed",
                "0",
                "--out",
                str(out),
            ]
        )
        == 0
    )
    return out


def published(out):
    text = (out / "page" / "index.html").read_text(encoding="utf-8")
    return json.loads(re.search(r"id=study>(.*?)</script>", text).group(1))


def test_nothing_that_is_published_tells_the_system_or_the_clip(study):
    files = sorted(path for path in (study / "page").rglob("*") if path.is_file())
    assert [path.name for path in files] == ["index.html", *(f"v{n}.mp4" for n in range(1, 7))]
    for path in files:
        content = path.read_bytes()
        for secret in (*SHADES, "manifest", "mtv_jax " if path.suffix == ".mp4" else "key.json"):
            assert secret.encode() not in content, (path, secret)
    assert len({path.stat().st_mtime_ns for path in files[1:]}) == 1
    metadata = []
    for path in files[1:]:
        with av.open(str(path)) as container:
            metadata.append((container.metadata, [stream.metadata for stream in container.streams]))
    assert all(found == metadata[0] for found in metadata)
    assert not any("comment" in found for found, _ in metadata)


def test_the_key_names_what_each_video_shows_and_plays(study):
    key = read_key(study / "key.json")
    assert key.systems == tuple(SHADES)
    assert sorted(clip.id for clip in key.clips.values()) == sorted(IDS)
    for clip in key.clips.values():
        for name, system in clip.videos.items():
            path = study / "page" / "videos" / f"{name}.mp4"
            frames, rate = read_video(path)
            assert (len(frames), rate) == (4, 8)
            assert abs(int(frames.mean()) - SHADES[system] - 10 * IDS.index(clip.id)) <= 2
            sound = read_audio(path, 16_000)
            wave = 0.1 * np.sin(np.arange(8000) * 0.1 * (IDS.index(clip.id) + 1))
            assert np.corrcoef(sound[:8000], wave)[0, 1] > 0.9


def test_the_page_holds_the_texts_and_an_order_for_each_participant(study):
    page, key = published(study), read_key(study / "key.json")
    assert page["study"] == key.id
    assert page["texts"] == {name: f"A bell </script> & {clip.id}" for name, clip in key.clips.items()}
    assert page["orders"] == json.loads(json.dumps([key.order(n) for n in range(1, 5)]))


def clips(number: int, systems=("a", "b", "c")) -> list[Chosen]:
    return [Chosen(f"clip{n}", "", dict.fromkeys(systems, f"{n}")) for n in range(number)]


def test_orders_are_complete_and_depend_on_participant_and_seed():
    study = design(FORMS["mtv"], clips(20), participants=3, seed=0)
    first, second = study.order(1), study.order(2)
    for order in (first, second):
        assert sorted(clip for clip, _ in order) == list(study.clips)
        assert all(sorted(videos) == list(study.clips[clip].videos) for clip, videos in order)
    assert [clip for clip, _ in first] != [clip for clip, _ in second]
    assert sum(dict(first)[clip] == videos for clip, videos in second) < 12
    more = design(FORMS["mtv"], clips(20), participants=9, seed=0)
    assert (more.id, more.order(1)) == (study.id, first)  # so that a running study can have more participants
    assert first != design(FORMS["mtv"], clips(20), participants=3, seed=1).order(1)


def test_neither_names_nor_places_depend_on_the_system():
    study = design(FORMS["mtv"], clips(300), participants=1, seed=5)
    assert all(list(clip.videos) == sorted(clip.videos) for clip in study.clips.values())
    ranks = [list(clip.videos.values()).index("a") for clip in study.clips.values()]
    assert all(70 < ranks.count(rank) < 130 for rank in range(3))
    places = [
        [study.clips[clip].videos[video] for video in videos].index("a") for clip, videos in study.order(1)
    ]
    assert all(70 < places.count(place) < 130 for place in range(3))


def test_other_videos_make_another_study_and_a_changed_key_is_noticed(study, tmp_path):
    one = design(FORMS["mtv"], clips(2), participants=1, seed=0)
    other = [Chosen("clip0", "", {"a": "x", "b": "0", "c": "0"}), clips(2)[1]]
    assert design(FORMS["mtv"], other, participants=1, seed=0).id != one.id
    text = (study / "key.json").read_text()
    (tmp_path / "key.json").write_text(re.sub('"(oursys|othersys)",\n', '"thirdsys",\n', text, count=1))
    with pytest.raises(UserError, match="does not match its study id"):
        read_key(tmp_path / "key.json")
    with pytest.raises(UserError, match="not the key of a study"):
        read_key(_written(tmp_path / "other.json", "{}"))


def _written(path, text):
    path.write_text(text)
    return path


def test_clips_that_cannot_be_shown_are_left_out_with_a_message(systems, tmp_path, capsys):
    third = write_system(tmp_path / "third", ("sea", "wood", "moon"), 30)
    (third / "videos" / "wood.mp4").write_bytes(b"nothing")
    manifest = third / "manifest.jsonl"
    manifest.write_text(manifest.read_text() + "{}\n")
    build = ["study", "build", *systems, str(third), "--form", "maestro"]
    assert evaluate.main([*build, "--out", str(tmp_path / "out")]) == 0
    assert [clip.id for clip in read_key(tmp_path / "out" / "key.json").clips.values()] == ["sea"]
    told = capsys.readouterr().err
    for line in (
        r"town: no video of third; left out",
        r"moon: no video of oursys, othersys; left out",
        r"line 4: has no 'video'.*; left out",
        r"wood: .*wood.mp4: .*; left out",
    ):
        assert re.search(line, told), line
    assert len(list((tmp_path / "out" / "page" / "videos").iterdir())) == 3
    with pytest.raises(UserError, match="1 of 2 clips can be read"):
        evaluate.main([*build, "--n", "2", "--out", str(tmp_path / "two")])
    assert not (tmp_path / "two" / "page").exists()


def test_folders_of_videos_are_matched_by_name_and_a_manifest_lends_its_sound(systems, tmp_path, capsys):
    mute = write_system(tmp_path / "mute", ("sea", "wood"), 90, size=(18, 20), sound=False)
    line = {"id": "sea", "video": "videos/sea.mp4", "audio": f"{systems[0]}/videos/sea.mp4"}
    (mute / "manifest.jsonl").write_text(
        json.dumps(line) + "\n" + json.dumps({**line, "id": "wood", "audio": None})
    )
    given = [f"real={systems[0]}/videos", f"mute={mute}"]
    assert evaluate.main(["study", "build", *given, "--form", "mtv", "--out", str(tmp_path / "out")]) == 0
    key = read_key(tmp_path / "out" / "key.json")
    assert key.systems == ("real", "mute")
    told = {}
    for clip in key.clips.values():
        for name, system in clip.videos.items():
            told[clip.id, system] = probe(tmp_path / "out" / "page" / "videos" / f"{name}.mp4").has_audio
    assert told == {
        ("sea", "real"): True,
        ("sea", "mute"): True,
        ("wood", "real"): True,
        ("wood", "mute"): False,
    }
    said = capsys.readouterr().err
    assert "sea.mp4: has no sound" in said
    assert "2 clips have no text" in said


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["A"], "two or more folders"),
        (["A", "x=A", "x=B"], "a second system 'x'; give NAME="),
        (["A", "B", "--n", "4"], "--n 4: 3 clips can be shown"),
        (["A", "none/at/all"], "no such directory"),
    ],
)
def test_what_cannot_be_a_study_is_one_line(given, message, systems, tmp_path):
    words = [word.replace("A", systems[0]).replace("B", systems[1]) for word in given]
    with pytest.raises(UserError, match=message):
        evaluate.main(["study", "build", *words, "--form", "mtv", "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out" / "key.json").exists()


def test_a_study_is_not_replaced_unasked(study, systems):
    with pytest.raises(UserError, match="exists already"):
        evaluate.main(["study", "build", *systems, "--form", "mtv", "--out", str(study)])


def test_odd_sizes_repeat_their_last_row_and_column():
    frame = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    even = _even(frame)
    assert even.shape == (4, 6, 3)
    np.testing.assert_array_equal(even[:3, :5], frame)
    np.testing.assert_array_equal(even[3, 5], frame[2, 4])


def test_a_study_that_cannot_be_made_anew_leaves_the_former_one(systems, tmp_path):
    out = tmp_path / "study"
    flags = ["--form", "mtv", "--participants", "2", "--out", str(out)]
    assert evaluate.main(["study", "build", *map(str, systems), *flags]) == 0
    before = (out / "key.json").read_text()
    broken = [tmp_path / name for name in ("x", "y")]
    for folder in broken:
        folder.mkdir()
        (folder / "1.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match="0 of 1 clips can be read"):
        evaluate.main(["study", "build", *map(str, broken), *flags, "--overwrite"])
    assert (out / "key.json").read_text() == before
    assert (out / "page" / "index.html").exists()


def test_without_a_seed_one_is_drawn_and_kept(systems, tmp_path):
    seeds = set()
    for number in range(2):
        out = tmp_path / str(number)
        flags = ["--form", "mtv", "--participants", "2", "--n", "1", "--out", str(out)]
        assert evaluate.main(["study", "build", *map(str, systems), *flags]) == 0
        seeds.add(json.loads((out / "key.json").read_text())["seed"])
    assert len(seeds) == 2
