"""`mtv-jax COMMAND ...` and `python -m mtv_jax COMMAND ...`: the same as `python -m mtv_jax.COMMAND ...`."""

import runpy
import sys

COMMANDS = {
    "doctor": "check this machine and suggest fixes",
    "sample": "generate a video from a prompt and sound",
    "demix": "separate a mix into speech, effects and music",
    "curate": "encode videos, or synthetic clips, to shards",
    "train": "train, or resume a run",
    "evaluate": "measure how well videos follow their sound",
    "convert": "convert checkpoints from and to other formats",
    "plan": "estimate memory and time of a run on other hardware",
}


def main() -> None:
    """Runs the module of the command named first; without one, lists the commands and exits with 2."""
    name = sys.argv[1] if len(sys.argv) > 1 else None
    if name in COMMANDS:
        del sys.argv[1]
        runpy.run_module(f"mtv_jax.{name}", run_name="__main__", alter_sys=True)
        return
    wants_help = name in ("-h", "--help")
    lines = [f"  {command:<10}{what}" for command, what in COMMANDS.items()]
    usage = "\n".join(["usage: mtv-jax COMMAND ... (each has --help)", *lines])
    print(usage, file=sys.stdout if wants_help else sys.stderr)
    if not wants_help:
        print(f"error: {'no command' if name is None else f'command {name!r}: unknown'}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
