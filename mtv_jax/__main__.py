"""`mtv-jax COMMAND ...` and `python -m mtv_jax COMMAND ...`: the same as `python -m mtv_jax.COMMAND ...`."""

import runpy
import sys

COMMANDS = {
    "doctor": "is this machine ready, and what to do where it is not",
    "sample": "a video from a prompt and sound",
    "demix": "a mix to speech, effects and music",
    "curate": "videos, or synthetic clips, to shards",
    "train": "train, or go on with a run",
    "evaluate": "how well videos follow their sound",
    "convert": "checkpoints of others, and back",
    "plan": "does a run fit on hardware that is not here",
}


def main() -> None:
    """Runs the command that is named first, as its module; without one, lists them and exits with 2."""
    name = sys.argv[1] if len(sys.argv) > 1 else None
    if name in COMMANDS:
        del sys.argv[1]
        runpy.run_module(f"mtv_jax.{name}", run_name="__main__", alter_sys=True)
        return
    wants_help = name in ("-h", "--help")
    told = [f"  {command:<10}{what}" for command, what in COMMANDS.items()]
    usage = "\n".join(["usage: mtv-jax COMMAND ... (each has --help)", *told])
    print(usage, file=sys.stdout if wants_help else sys.stderr)
    if not wants_help:
        print(f"error: {'no command' if name is None else f'command {name!r}: unknown'}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
