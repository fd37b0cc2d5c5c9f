"""`evaluate study build` and `read`."""

import argparse
import secrets

from mtv_jax.evaluation.report.schema import RESULTS
from mtv_jax.evaluation.study.build import build_study
from mtv_jax.evaluation.study.options import KEY, PAGE, StudyOptions
from mtv_jax.evaluation.study.read import read_study, study_lines
from mtv_jax.io.files import check_output


def run_study(args: argparse.Namespace) -> int:
    """Runs the subcommand of `study_parser`."""
    if args.command == "read":
        check_output(args.out, folder=True, overwrite=args.overwrite, marks=[RESULTS])
        print("\n".join(study_lines(read_study(args.key, args.answers, args.out))))
        return 0
    check_output(args.out, folder=True, overwrite=args.overwrite, marks=[KEY])
    # A seed that everybody knows would tell which videos are of one system.
    seed = getattr(args, "seed", None)
    seed = secrets.randbelow(2**31) if seed is None else seed
    study = build_study(args.systems, StudyOptions(args.form, args.participants, args.n, seed), args.out)
    print(
        f"{args.out / PAGE}: {len(study.clips)} clips of {len(study.systems)} systems; put it on a web server"
    )
    print(f"{args.out / KEY}: keep it to yourself; `evaluate study read` needs it")
    return 0
