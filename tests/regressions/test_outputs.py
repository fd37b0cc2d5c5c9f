"""Outputs: checked before any work, named as the user named them, replaced only on request, never incomplete.

All found by attack: an --out that cannot be written was reported after sampling, by a temporary name or a traceback.
"""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from front_doors import exit_code, forbid_networks

from mtv_jax import convert, curate, demix, evaluate, plan, sample, train
from mtv_jax.audio.separation import files as demix_files
from mtv_jax.curation.making import locked
from mtv_jax.data.records import ClipRecord, ClipSource
from mtv_jax.data.shards import write_shards
from mtv_jax.io import cli, files
from mtv_jax.io.audio import write_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import DiskError, atomic_directory, atomic_path, check_output, remove_leftovers
from mtv_jax.io.lock import FolderLock
from mtv_jax.io.video import write_gif, write_video
from mtv_jax.training.checkpoint_hashes import write_hashes

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "mtv_jax" / "assets" / "tiny"
CONFIG = ROOT / "configs" / "tiny" / "denoiser.py"


@pytest.fixture
def mix(tmp_path):
    path = tmp_path / "mix.wav"
    write_audio(path, np.random.default_rng(0).normal(0, 0.1, 32000).astype(np.float32), 16000)
    return path


@pytest.fixture
def small_disk():
    """No file can be larger than 100 kB: writing fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def command(name, out, mix, tmp_path):
    """`main` and arguments of a command that would write `out`."""
    return {
        "sample": (sample.main, ["--preset", "tiny", "--prompt", "a bell", "--out", f"{out}.mp4"]),
        "demix": (demix.main, [mix, "--out", out]),
        "curate run": (curate.main, ["run", "--videos", tmp_path, "--out", out]),
        "curate theatre": (curate.main, ["theatre", "--clips", "1", "--out", out]),
        "convert": (convert.main, ["--from", "diffusers", "--in", TINY, "--out", out]),
        "evaluate": (evaluate.main, [mix, "--out", out]),
        "evaluate suite": (evaluate.main, ["--suite", "theatre", "--preset", "tiny", "--out", out]),
        "plan": (plan.main, ["--config", CONFIG, "--report", f"{out}.json"]),
        "train": (train.main, ["--config", CONFIG, "--workdir", out]),
    }[name]


COMMANDS = (
    "sample",
    "demix",
    "curate run",
    "curate theatre",
    "convert",
    "evaluate",
    "evaluate suite",
    "plan",
    "train",
)


def place(kind, tmp_path, name):
    """An --out that cannot be written, without the suffix that files have."""
    file = name in ("sample", "plan")
    if kind == "wrong kind" and file:
        for suffix in (".mp4", ".json"):
            (tmp_path / f"there{suffix}").mkdir()
    elif kind == "wrong kind":
        (tmp_path / "there").write_text("a file")
    if kind == "parent is a file":
        (tmp_path / "there").write_text("a file")
        return tmp_path / "there" / "below" / "out"
    if kind == "long name":
        return tmp_path / "new" / ("n" * 300)
    if kind == "read-only":
        return Path("/proc/here/out")
    return tmp_path / "there"


@pytest.mark.parametrize("kind", ["wrong kind", "parent is a file", "long name", "read-only", "full"])
@pytest.mark.parametrize("name", COMMANDS)
def test_an_out_that_cannot_be_written_is_reported_before_any_network_is_loaded(
    name, kind, mix, tmp_path, monkeypatch, capsys
):
    forbid_networks(monkeypatch)
    if kind == "full":

        def full(_file):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(files, "_write_probe", full)
    out = place(kind, tmp_path, name)
    before = sorted(tmp_path.rglob("*"))
    main, argv = command(name, out, mix, tmp_path)
    assert exit_code(main, *argv) == 2
    reported = capsys.readouterr().err
    assert str(out) in reported
    assert ".tmp-" not in reported
    assert reported.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


RESULTS = {
    "sample": "out.mp4",
    "demix": "out/music.flac",
    "curate run": "out/manifest.json",
    "curate theatre": "out/manifest.json",
    "convert": "out/config.json",
    "evaluate": "out/results.json",
    "plan": "out.json",
}


@pytest.mark.parametrize("name", list(RESULTS))
def test_what_is_there_is_refused_without_overwrite(name, mix, tmp_path, monkeypatch, capsys):
    """sample replaced silently, demix and curate refused with different words, convert had no way."""
    forbid_networks(monkeypatch)
    there = tmp_path / RESULTS[name]
    there.parent.mkdir(exist_ok=True)
    there.write_text("{}")
    main, argv = command(name, tmp_path / "out", mix, tmp_path)
    assert exit_code(main, *argv) == 2
    reported = capsys.readouterr().err
    assert "exists already" in reported
    assert "--overwrite" in reported
    assert there.read_text() == "{}"
    # It goes on to what is forbidden here; curate to the films, of which there are none.
    assert exit_code(main, *argv, "--overwrite") == (2 if name == "curate run" else 1)
    assert "exists already" not in capsys.readouterr().err
    assert there.read_text() == "{}"


def test_overwrite_replaces_a_folder_of_weights_and_no_other(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letters.txt").write_text("dear")
    argv = ["--from", "diffusers", "--in", TINY, "--out", tmp_path / "out", "--overwrite"]
    assert exit_code(convert.main, *argv) == 2
    assert "is no folder of weights" in capsys.readouterr().err
    assert (tmp_path / "out" / "letters.txt").exists()


def test_an_input_is_not_overwritten(tmp_path, mix, capsys):
    out = tmp_path / "out"
    out.mkdir()
    speech = mix.rename(out / "speech.wav")
    content = speech.read_bytes()
    assert exit_code(demix.main, speech, "--out", out, "--overwrite") == 2
    assert "is an input of this command" in capsys.readouterr().err
    assert speech.read_bytes() == content


def test_demix_replaces_tracks_of_the_other_format_too(mix, tmp_path, monkeypatch, capsys):
    def halves(read, rate, separator):
        samples = read(0, 32000)
        yield {name: samples / 3 for name in ("speech", "effects", "music")}

    monkeypatch.setattr(demix_files, "separate_sections", halves)
    out = tmp_path / "out"
    assert exit_code(demix.main, mix, "--out", out) == 0
    assert exit_code(demix.main, mix, "--out", out, "--format", "flac") == 2
    assert exit_code(demix.main, mix, "--out", out, "--format", "flac", "--overwrite") == 0
    left = sorted(path.name for path in out.iterdir())
    assert left == ["demix.json", "effects.flac", "music.flac", "speech.flac"]


def records():
    noise = np.random.default_rng(0)
    source = ClipSource("a.mp4", "0" * 64, 0, 5, (1, 12), "none")
    for i in range(20):
        frames = noise.integers(0, 255, (5, 32, 32, 3)).astype(np.uint8)
        yield ClipRecord(str(i), "a bell", (12, 1), 5, 32, 32, source, {"video": frames})


def a_gif(path):
    frames = np.random.default_rng(0).integers(0, 255, (30, 64, 64, 3)).astype(np.uint8)
    write_gif(path / "out.gif", frames, 12)


def a_video(path):
    frames = np.random.default_rng(0).integers(0, 255, (12, 128, 128, 3)).astype(np.uint8)
    write_video(path / "out.mp4", frames, 12)


def a_flac(path):
    # What does not fit is in libsndfile's last buffer, which it drops without an error.
    noise = np.random.default_rng(0).normal(0, 0.1, 36_800).astype(np.float32)
    write_audio(path / "out.flac", noise, 16000)


def shards(path):
    with locked(path / "out"):
        write_shards(path / "out", records(), kind="frames")


def weights(path):
    with atomic_directory(path / "out") as temporary, atomic_path(temporary / "vae" / "model.bin") as file:
        file.write_bytes(bytes(200_000))


@pytest.mark.parametrize(
    ("write", "name"),
    [(a_gif, "out.gif"), (a_video, "out.mp4"), (a_flac, "out.flac"), (shards, "out"), (weights, "out")],
)
def test_a_full_disk_is_reported_with_the_users_path(write, name, tmp_path, small_disk):
    """Each library says it in its own way, if at all: errno without a name, RuntimeError, AssertionError."""
    with pytest.raises(DiskError) as caught:
        write(tmp_path)
    assert str(caught.value) == f"{tmp_path / name}: cannot be written (File too large)"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_disk_that_fills_up_in_demix_exits_with_2(mix, tmp_path, monkeypatch, capsys, small_disk):
    monkeypatch.setattr(
        demix_files,
        "separate_sections",
        lambda read, *_: [dict.fromkeys(("speech", "effects", "music"), read(0, 32000))],
    )
    assert exit_code(demix.main, mix, "--out", tmp_path / "out") == 2
    # The decoded copy, which lies in the folder for a while, is what the disk refuses first.
    assert f"{tmp_path / 'out'}: cannot be written" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_who_can_go_on_without_a_file_on_a_full_disk_does(tmp_path, small_disk):
    """Source: a full disk; the thread that hashes a checkpoint, which expects an OSError, ended in a traceback."""
    for number in range(700):
        (tmp_path / f"{number:0200d}").touch()
    with pytest.raises(OSError, match="cannot be written") as caught:
        write_hashes(tmp_path)
    assert caught.value.errno == errno.EFBIG
    assert str(caught.value).startswith(str(tmp_path / "hashes-00000-of-00001.json"))


def test_an_error_that_is_not_the_disks_stays_what_it_is(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "out.wav"):
        raise ZeroDivisionError
    with pytest.raises(FileNotFoundError, match=r"other\.wav"), atomic_path(tmp_path / "out.wav"):
        (tmp_path / "other.wav").read_bytes()
    assert list(tmp_path.iterdir()) == []


def test_a_name_as_long_as_names_can_be_is_written(tmp_path):
    """The temporary name was longer than the name."""
    path = tmp_path / ("n" * 251 + ".wav")
    check_output(path)
    write_audio(path, np.zeros(100, np.float32), 16000)
    assert path.exists()


def test_what_a_killed_process_left_is_removed_by_the_next_one_in_the_folder(tmp_path):
    (tmp_path / ".tmp-abc").mkdir()
    (tmp_path / ".tmp-abc.wav").write_text("half")
    (tmp_path / ".other").write_text("not ours")
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".other"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_in_the_midst_of_writing_leaves_nothing(number, code, tmp_path, capfd):
    """SIGTERM ended the process where it was, and the temporary file stayed."""
    before = signal.getsignal(number)

    def main(_argv):
        with atomic_directory(tmp_path / "out") as folder, atomic_path(folder / "a.bin") as file:
            file.write_bytes(b"half")
            os.kill(os.getpid(), number)
            time.sleep(10)

    assert exit_code(main) == code
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err == {143: "terminated\n", 130: "interrupted\n"}[code]
    assert signal.getsignal(number) == before


def test_a_signal_whose_exception_a_library_replaces_gives_its_exit_code_all_the_same():
    def main(_argv):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        except BaseException as error:
            raise RuntimeError("callback failed") from error

    assert exit_code(main) == 143


def test_a_signal_in_a_finaliser_is_not_lost(capfd):
    """Python drops what is raised there, and the command went on to its end."""

    class Finalised:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)

    def main(_argv):
        Finalised()
        time.sleep(10)

    assert exit_code(main) == 143
    assert capfd.readouterr().err == "terminated\n"


def test_sigterm_while_a_command_is_still_importing(tmp_path):
    """It died of the signal (exit status -15), since the handler was not there yet."""
    (tmp_path / "soxr.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(60)\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    argv = [sys.executable, "-m", "mtv_jax.demix", "x.wav", "--out", tmp_path / "out"]
    done = subprocess.run(argv, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (143, "terminated\n")


@pytest.mark.parametrize("name", ["demix", "curate theatre"])
def test_a_folder_that_another_process_writes_into_is_refused(name, mix, tmp_path, monkeypatch, capsys):
    """Two `curate` to one --out mixed their shards."""
    forbid_networks(monkeypatch)
    out = tmp_path / "out"
    main, argv = command(name, out, mix, tmp_path)
    with FolderLock(out, "--out"):
        assert exit_code(main, *argv) == 2
        reported = capsys.readouterr().err
        assert f"{out}: in use by process {os.getpid()}" in reported
        assert "use another --out" in reported
        held = json.loads((out / "lock.json").read_text())
        assert held["process"] == os.getpid()


def test_a_full_disk_without_a_name_is_reported_in_one_line(capsys):
    def main(_argv):
        raise OSError(errno.ENAMETOOLONG, "File name too long", "n" * 300)

    assert exit_code(main) == 2
    assert cli.report_error(UserError("caf\udce9.wav: no such file")) == 2
    assert "caf\\udce9.wav" in capsys.readouterr().err
