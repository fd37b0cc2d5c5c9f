"""Tables of the papers, to which a row of our own results is added."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mtv_jax.evaluation.report.schema import Report

_MTV = ("FVD", "Temp-C %", "Text-C %", "Audio-C %", "Sync-C", "Sync-D")
_MTV_FIGURES = (
    "fvd.i3d_k400",
    "temp_c.score",
    "text_c.score",
    "audio_c.score",
    "sync.syncnet_c",
    "sync.syncnet_d",
)


@dataclass(frozen=True)
class Table:
    """A table of a paper.

    Attributes:
      title: where it is, and on which data.
      columns: with their directions, as the paper has them.
      figures: the claim of each column.
      rows: values by method.
      notes: what has to be known when rows are compared.
      digits: decimals of its values.
    """

    title: str
    columns: tuple[str, ...]
    figures: tuple[str, ...]
    rows: Mapping[str, tuple[float, ...]]
    notes: tuple[str, ...] = ()
    digits: int = 2


_MTV_NOTES = (
    "the paper draws 50 videos of 1,000 that are not released: other clips give other values",
    "FVD grows as the number of videos shrinks: compare only the same number and length",
    "the paper does not say which real videos FVD compares with, nor at which size, rate and length",
    "the networks of Text-C and Audio-C are inferred from the paper's references; which CLIP Temp-C uses is not said",
    "SyncNet's own pipeline drops faces of 100 frames or fewer, as are all of 49 frames: here they are scored",
)

_MAESTRO = ("IA", "AV-Align")
_MAESTRO_FIGURES = ("ia.score", "av_align.score")
_MAESTRO_NOTES = (
    "the paper does not say how many videos were measured, nor which version of AV-Align (av_align_v1 is that of 2023)",
)
_LAMBDAS = ("lambda_1 = 0", "lambda_1 = .5", "lambda_1 = .7", "lambda_1 = .9", "lambda_1 = 1")
_QUERIES = ("N_Q = 1", "N_Q = 5", "N_Q = 10", "N_Q = 15", "N_Q = 20")


def _maestro(title: str, methods: Sequence[str], *values: tuple[float, ...], digits: int = 2) -> Table:
    """A table of IA and AV-Align."""
    rows = dict(zip(methods, values, strict=True))
    return Table(f"Maestro, {title}", _MAESTRO, _MAESTRO_FIGURES, rows, _MAESTRO_NOTES, digits)


TABLES = {
    "mtv2": Table(
        "MTV, table 2 (DEMIX, 50 videos)",
        _MTV,
        _MTV_FIGURES,
        {
            "MM-Diffusion": (879.77, 94.15, 15.61, 5.43, 1.53, 11.21),
            "TempoTokens": (795.88, 93.13, 24.68, 6.71, 1.45, 10.48),
            "Xing et al.": (805.23, 93.30, 24.51, 7.30, 1.55, 10.50),
            "MTV": (626.06, 95.40, 26.55, 26.22, 3.17, 9.43),
            "MTV without separate extraction": (667.81, 95.30, 26.49, 24.68, 2.46, 9.55),
            "MTV without separate injection": (626.46, 94.84, 25.50, 19.64, 2.53, 9.76),
            "MTV, backbone frozen": (698.36, 95.14, 26.37, 24.50, 2.31, 9.78),
        },
        _MTV_NOTES,
    ),
    "mtv4": Table(
        "MTV, table 4 (DEMIX, 50 videos)",
        _MTV,
        _MTV_FIGURES,
        {
            "CogVideoX + wav2vec": (626.06, 95.40, 26.55, 26.22, 3.17, 9.43),
            "CogVideoX + BEATs": (598.53, 95.91, 26.25, 25.28, 3.02, 9.52),
            "Wan14B + wav2vec": (353.61, 96.36, 27.23, 26.49, 3.08, 9.56),
        },
        _MTV_NOTES,
    ),
    "maestro1": _maestro(
        "table 1 (Landscape)", _LAMBDAS, (0.25, 0.45), (0.32, 0.53), (0.34, 0.54), (0.37, 0.55), (0.35, 0.55)
    ),
    "maestro1_vggsound": _maestro(
        "table 1 (VGGSound)", _LAMBDAS, (0.28, 0.50), (0.45, 0.55), (0.47, 0.58), (0.48, 0.58), (0.45, 0.57)
    ),
    "maestro2": _maestro(
        "table 2 (Landscape)",
        _QUERIES,
        (0.2814, 0.4788),
        (0.3661, 0.5335),
        (0.3743, 0.5502),
        (0.3636, 0.5489),
        (0.3577, 0.5407),
        digits=4,
    ),
    "maestro2_vggsound": _maestro(
        "table 2 (VGGSound)",
        _QUERIES,
        (0.4439, 0.5099),
        (0.4797, 0.5676),
        (0.4831, 0.5825),
        (0.4782, 0.5841),
        (0.4776, 0.5802),
        digits=4,
    ),
    "maestro3": Table(
        "Maestro, table 3 (Landscape)",
        ("FVD", "IA", "AV-Align"),
        ("fvd.i3d_k400", "ia.score", "av_align.score"),
        {
            "AADiff": (2151.8, 0.24, 0.12),
            "TPoS": (2314.1, 0.26, 0.44),
            "TempoToken with text": (1912.8, 0.22, 0.40),
            "TempoToken without text": (2108.8, 0.12, 0.44),
            "Maestro": (585.9, 0.37, 0.55),
        },
        (
            "the paper's FVD is of an I3D tuned on Landscape: it is not comparable with any other",
            *_MAESTRO_NOTES,
        ),
    ),
    "maestro3_vggsound": _maestro(
        "table 3 (VGGSound)",
        ("AADiff", "TPoS", "TempoToken with text", "TempoToken without text", "Maestro"),
        (0.30, 0.30),
        (0.23, 0.43),
        (0.38, 0.52),
        (0.10, 0.48),
        (0.48, 0.58),
    ),
}


def table_lines(name: str, report: Report) -> Iterator[str]:
    """A paper's table in Markdown, with the results of a report as its last row, and notes."""
    table = TABLES[name]
    yield f"{table.title}:"
    yield ""
    yield f"| method | {' | '.join(table.columns)} |"
    yield "|---" * (len(table.columns) + 1) + "|"
    for method, values in table.rows.items():
        yield _row(method, values, table.digits)
    own = {figure.id: figure.value for figure in report.figures}
    yield _row("these videos", [own.get(figure) for figure in table.figures], table.digits)
    yield ""
    numbers = sorted({figure.n for figure in report.figures if figure.id in table.figures})
    yield from (
        f"- {note}" for note in (*table.notes, f"these videos: n = {', '.join(map(str, numbers)) or 0}")
    )
    if report.untrained:
        yield f"- not a valid result: random weights: {', '.join(report.untrained)}"


def _row(name: str, values: Sequence[float | None], digits: int) -> str:
    return f"| {name} | {' | '.join(_written(value, digits) for value in values)} |"


def _written(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
