"""The launch scripts: what a dry run prints, that it runs nothing, and how stopped runs start again."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAUNCH = ROOT / "launch"
BASH = shutil.which("bash") or "bash"
TOOLS = (
    "gcloud",
    "xpk",
    "kubectl",
    "sbatch",
    "srun",
    "docker",
    "git",
    "make",
    "mkdir",
    "tar",
    "python",
    "pip",
)
WORKDIR = "/bucket/runs/stage_1"
CONFIG = "configs/tiny/denoiser.py:small"
EXTRA = (
    "--config.data.dir=a folder",
    """--config.note=it's "this", $HOME `x` \\n""",
    "--config.seed",
    "7",
    "--config.empty=",
    "--skip-batches=7:8",
    "--skip-batches",
    "12:14",
)
CLOUD = ("--project", "the-project", "--zone=us-east5-a")
SCRIPTS = {
    "one_vm.sh": (),
    "slurm.sh": ("--nodes", "4", "--partition=gpu"),
    "gke.sh": (*CLOUD, "--cluster", "pod", "--image=gcr.io/p/mtv_jax:1", "--build"),
    "tpu_vm.sh": (*CLOUD, "--bucket", "clips", "--spot"),
}
scripts = pytest.mark.parametrize("name", SCRIPTS)


def launch(name: str, *arguments: str, path: str = "", cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs a script with nothing in its environment but PATH."""
    command = [BASH, str(LAUNCH / name), *arguments]
    return subprocess.run(command, env={"PATH": path}, cwd=cwd, capture_output=True, text=True, timeout=3600)


def dry_run(name: str, *arguments: str, path: str = "") -> list[list[str]]:
    """The words of each command that a script would run."""
    given = ("--config", CONFIG, f"--workdir={WORKDIR}", *SCRIPTS[name], *arguments)
    done = launch(name, "--dry-run", *given, path=path)
    assert (done.returncode, done.stderr) == (0, "")
    return [shlex.split(line) for line in done.stdout.splitlines()]


def training(commands: list[list[str]]) -> list[str]:
    """The words of the training in the last command, which may be one word of it."""
    words = commands[-1]
    for word in words:
        if word.startswith("--metadata="):
            words = shlex.split(word.split("mtv-command=", 1)[1])
        elif "mtv_jax.train " in word:
            words = shlex.split(word)
    return words[words.index("-m") :]


def fake(folder: Path, name: str, body: str) -> None:
    """A command for PATH."""
    tool = folder / name
    tool.write_text(f"#!{BASH}\n{body}\n")
    tool.chmod(0o755)


@scripts
def test_dry_run_prints_the_training_with_every_flag_as_given(name: str):
    words = training(dry_run(name, *EXTRA))
    assert words[:6] == ["-m", "mtv_jax.train", "--config", CONFIG, "--workdir", WORKDIR]
    assert tuple(words[-len(EXTRA) :]) == EXTRA
    ours = words[6 : -len(EXTRA)]
    assert all(word.startswith("--config.compilation_cache=") for word in ours)


@scripts
def test_dry_run_runs_nothing(name: str, tmp_path: Path):
    marker = tmp_path / "ran"
    for tool in TOOLS:
        fake(tmp_path, tool, f"echo {tool} >> {marker}")
    dry_run(name, path=str(tmp_path))
    assert not marker.exists()


@scripts
def test_dry_run_is_the_same_from_any_folder(name: str, tmp_path: Path):
    given = ("--dry-run", "--config", CONFIG, "--workdir", WORKDIR, *SCRIPTS[name])
    assert launch(name, *given).stdout == launch(name, *given, cwd=tmp_path).stdout
    inside = subprocess.run(
        [BASH, name, *given], env={"PATH": ""}, cwd=LAUNCH, capture_output=True, text=True, check=True
    )
    assert inside.stdout == launch(name, *given).stdout


@scripts
def test_without_dry_run_the_printed_commands_run(name: str, tmp_path: Path):
    """What the dry run prints is what the tools are called with."""
    log = tmp_path / "log"
    for tool in ("gcloud", "xpk", "sbatch", "docker", "git", "make", "mkdir"):
        fake(tmp_path, tool, f'printf "%s\\0" {tool} "$@" >> {log}; printf "\\n" >> {log}')
    printed = [words for words in dry_run(name, *EXTRA) if words[0] in {f.name for f in tmp_path.iterdir()}]
    # A copy of the folder, so that .venv/bin/python is a fake too.
    copy = tmp_path / "checkout"
    shutil.copytree(LAUNCH, copy / "launch")
    shutil.copytree(ROOT / "configs", copy / "configs")
    (copy / ".venv/bin").mkdir(parents=True)
    fake(copy / ".venv/bin", "python", "exit 0")
    given = ("--config", CONFIG, f"--workdir={WORKDIR}", *SCRIPTS[name], *EXTRA)
    command = [BASH, str(copy / "launch" / name), *given]
    subprocess.run(command, env={"PATH": str(tmp_path)}, check=True, capture_output=True, timeout=3600)
    ran = [line.split("\0")[:-1] for line in log.read_text().splitlines()]
    assert ran == printed


@scripts
@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (("--nope",), "--nope: unknown option"),
        (("stage1",), "stage1: unknown option"),
        (("--dry-run=1",), "--dry-run=1: unknown option"),
        (("--workdir",), "--workdir: no value"),
        (("--config.seed",), "--config.seed: no value"),
        (("--skip-batches",), "--skip-batches: no value"),
        (("--workdir", WORKDIR), "--config is missing"),
        (("--config", CONFIG), "--workdir is missing"),
        (("--config", "configs/nothing.py", "--workdir", WORKDIR), "configs/nothing.py: no such file"),
        (("--config", CONFIG, "--config.note=a\nb"), "may not hold a line break"),
    ],
)
def test_an_error_is_one_line_and_exit_2(name: str, arguments: tuple[str, ...], reported: str):
    given = () if "missing" in reported else SCRIPTS[name]
    done = launch(name, *given, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert reported in done.stderr


@pytest.mark.parametrize(
    ("name", "tool"),
    [("one_vm.sh", "make"), ("slurm.sh", "make"), ("gke.sh", "docker"), ("tpu_vm.sh", "git")],
)
def test_a_missing_tool_is_reported_before_anything_runs(name: str, tool: str):
    done = launch(name, "--config", CONFIG, "--workdir", WORKDIR, *SCRIPTS[name])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {tool} is not installed: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "arguments", "reported"),
    [
        ("one_vm.sh", ("--extra=rocm",), "none, cuda or tpu"),
        ("slurm.sh", ("--nodes=0",), "--nodes 0: must be a whole number above 0"),
        ("gke.sh", ("--workdir=/tmp/x",), "--workdir /tmp/x: must be under /bucket"),
        ("gke.sh", ("--topology=v5p-256",), "--topology v5p-256: must be like"),
        ("gke.sh", ("--build=yes",), "--build takes no value"),
        ("gke.sh", ("--name=Run_1",), "--name Run_1: must be"),
        ("tpu_vm.sh", ("--workdir=runs/x",), "--workdir runs/x: must be under /bucket"),
        ("tpu_vm.sh", ("--topology=tpu7x:4x4x4",), "use launch/gke.sh"),
        ("tpu_vm.sh", ("--reserved",), "--spot and --reserved"),
        ("tpu_vm.sh", ("--config.note=a@@@b",), "a value holds @@@"),
    ],
)
def test_impossible_values_are_reported(name: str, arguments: tuple[str, ...], reported: str):
    given = ("--config", CONFIG, "--workdir", WORKDIR, *SCRIPTS[name], *arguments)
    done = launch(name, "--dry-run", *given)
    assert done.returncode == 2
    assert reported in done.stderr
    assert done.stderr.count("\n") == 1


@scripts
def test_help_shows_every_option_with_its_default(name: str):
    done = launch(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    source = (LAUNCH / name).read_text()
    shown = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith("  --")}
    declared = [
        shlex.split(line)
        for line in source.splitlines()
        if line.startswith(("option ", "flag ", "required "))
    ]
    assert len(declared) >= 3
    for kind, option, *rest in declared:
        default = {
            "option": f"(default: {rest[0] or 'none'})",
            "flag": "(default: no)",
            "required": "(required)",
        }
        assert shown[f"--{option}"].endswith(default[kind])
    assert {"--dry-run", "--help", "--config.KEY=VALUE", "--skip-batches=A:B"} <= shown.keys()


def test_slurm_asks_for_a_process_a_gpu_a_warning_and_a_place_in_the_queue():
    submit = dry_run("slurm.sh", "--gpus-per-node=4", "--account=lab")[-1]
    assert submit[0] == "sbatch"
    assert submit[submit.index("launch/slurm_job.sh") + 1] == ".venv/bin/python"
    wanted = {"--ntasks-per-node=4", "--gpus-per-node=4", "--signal=TERM@300", "--requeue", "--nodes=4"}
    assert wanted | {"--partition=gpu", "--account=lab", f"--output={WORKDIR}/slurm-%j.out"} <= set(submit)


def test_gke_gives_pods_time_to_save_and_restarts_them():
    *build, submit = dry_run("gke.sh", "--topology=tpu7x:4x4x4")
    assert [words[:2] for words in build] == [["cd", str(ROOT)], ["docker", "build"], ["docker", "push"]]
    assert submit[:3] == ["xpk", "workload", "create"]
    wanted = {"--tpu-type=tpu7x-4x4x4", "--termination-grace-period-seconds=600", "--max-restarts=50"}
    assert wanted | {"--workload=mtv-stage-1", "--storage=mtv-bucket"} <= set(submit)
    assert submit[submit.index("--command") + 1].startswith("cd /mtv_jax && exec python ")


def test_tpu_vms_get_the_startup_script_and_the_training_as_metadata():
    request = dry_run("tpu_vm.sh", "--topology=v5p:4x4x8", "--config.mesh=1,2")[-1]
    assert request[:6] == ["gcloud", "compute", "tpus", "queued-resources", "create", "mtv-stage-1"]
    wanted = {"--type=v5p", "--topology=4x4x8", "--runtime-version=v2-alpha-tpuv5", "--spot"}
    assert wanted | {"--metadata-from-file=startup-script=launch/tpu_worker.sh"} <= set(request)
    # gcloud's own rule: what stands between the first two ^ divides the values.
    _, divider, values = request[-1].removeprefix("--metadata=").split("^", 2)
    metadata = dict(value.split("=", 1) for value in values.split(divider))
    assert metadata["mtv-bucket"] == "clips"
    assert metadata["mtv-code"] == "code/mtv_jax-mtv-stage-1.tar.gz"
    assert shlex.split(metadata["mtv-command"])[-1] == "--config.mesh=1,2"


@pytest.mark.parametrize(
    ("endpoints", "printed"),
    [
        ("10.0.0.2", []),
        (
            "unknown:unknown:10.0.0.2,unknown:unknown:10.0.0.3,unknown:unknown:10.0.0.4",
            ["JAX_COORDINATOR_ADDRESS=10.0.0.2:8482", "JAX_NUM_PROCESSES=3", "JAX_PROCESS_ID=1"],
        ),
        ("w-0,w-1", ["JAX_COORDINATOR_ADDRESS=w-0:8482", "JAX_NUM_PROCESSES=2", "JAX_PROCESS_ID=1"]),
    ],
)
def test_tpu_vms_find_each_other_by_their_metadata(tmp_path: Path, endpoints: str, printed: list[str]):
    case = (
        f'case ${{!#}} in */worker-network-endpoints) echo "{endpoints}" ;; */agent-worker-number) echo 1 ;;'
    )
    fake(tmp_path, "curl", f"{case} */mtv-command) echo \"python -m x 'a b'\" ;; *) exit 22 ;; esac")
    done = subprocess.run(
        [BASH, "-c", 'source "$1"; train_script', "bash", str(LAUNCH / "tpu_worker.sh")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert [line.removeprefix("export ") for line in lines if "JAX_" in line] == printed
    assert lines[-1] == "exec python -m x 'a b'"


def test_systemd_restarts_after_a_stop_but_not_after_an_error_or_ctrl_c():
    done = subprocess.run(
        [BASH, "-c", 'source "$1"; unit', "bash", str(LAUNCH / "tpu_worker.sh")],
        capture_output=True,
        text=True,
        check=True,
    )
    unit = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert (unit["Restart"], unit["RestartPreventExitStatus"]) == ("on-failure", "2 130")


@pytest.mark.parametrize(
    ("srun", "state", "status", "queued"),
    [
        ("exit 0", "RUNNING", 0, False),
        ("exit 1", "RUNNING", 1, False),
        ("exit 143", "RUNNING", 143, True),
        # Ctrl-C, or scancel, ended it: it stays ended.
        ("exit 130", "RUNNING", 130, False),
        ("exit 143", "COMPLETING", 143, False),
    ],
)
def test_a_slurm_job_queues_again_if_it_was_stopped(
    tmp_path: Path, srun: str, state: str, status: int, queued: bool
):
    fake(tmp_path, "srun", f'printf "%s\\n" "$@" > {tmp_path}/args; {srun}')
    fake(tmp_path, "squeue", f"echo {state}")
    fake(tmp_path, "scontrol", f'echo "$@" > {tmp_path}/queued')
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "17"}
    command = [BASH, str(LAUNCH / "slurm_job.sh"), "python", "-m", "mtv_jax.train", "--config.note=a b"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=3600)
    assert done.returncode == status
    given = (tmp_path / "args").read_text().splitlines()
    assert given[-4:] == command[-4:]
    queue = tmp_path / "queued"
    assert queue.exists() == queued
    assert not queued or queue.read_text() == "requeue 17\n"


def test_shellcheck_finds_nothing():
    if not (shellcheck := shutil.which("shellcheck")):
        pytest.skip("shellcheck is not installed")
    files = sorted(map(str, LAUNCH.glob("*.sh")))
    done = subprocess.run([shellcheck, *files], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_gets_what_installing_and_training_read():
    ignored = (LAUNCH / "Dockerfile.dockerignore").read_text().splitlines()
    kept = {line[1:] for line in ignored if line.startswith("!")}
    assert ignored[0] == "*"
    assert kept == {"LICENSE", "README.md", "pyproject.toml", "configs", "launch", "mtv_jax"}
    assert all((ROOT / name).exists() for name in kept)
