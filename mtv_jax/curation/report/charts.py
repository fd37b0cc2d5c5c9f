"""Charts of the report, as SVG."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mtv_jax.names import SUBSETS

_WIDTH, _HEIGHT, _MARGIN = 560, 130, 26


def bar(value: float, whole: float, kind: str = "kept", width: int = 220) -> str:
    """A horizontal bar, `value` of `whole` long."""
    length = round(width * value / whole, 1) if whole else 0
    return (
        f"<svg class=bar width={width} height=12 role=img aria-label='{value:g} of {whole:g}'>"
        f"<rect class=back width={width} height=12 rx=2 /><rect class={kind} width={length} height=12 rx=2 /></svg>"
    )


def histogram_chart(score: Mapping[str, Any]) -> str:
    """Kept clips under dropped ones in each bin, marks of percentiles, and cut-offs with the dropped side shaded."""
    edges = score["edges"]
    if not edges:
        return "<p>No clip has this score.</p>"
    low, high = edges[0], edges[-1]
    for cut in score["cuts"]:  # beyond the bins as well
        low, high = min(low, cut["threshold"]), max(high, cut["threshold"])
    span = (high - low) or 1.0

    def at(value: float) -> float:
        return round(_MARGIN + (_WIDTH - 2 * _MARGIN) * (value - low) / span, 1)

    most = max(k + d for k, d in zip(score["kept"], score["dropped"], strict=True)) or 1
    drawn = [_cut(cut, at) for cut in score["cuts"]]
    for i, counts in enumerate(zip(score["kept"], score["dropped"], strict=True)):
        drawn.append(_bin(at(edges[i]), at(edges[i + 1]), counts, most))
    places: dict[float, list[str]] = {}
    for name, value in score["marks"].items():
        places.setdefault(at(value), []).append(name)
    drawn += [_mark(", ".join(names), x) for x, names in places.items()]
    drawn.append(f"<line class=axis x1={_MARGIN} x2={_WIDTH - _MARGIN} y1={_HEIGHT} y2={_HEIGHT} />")
    ends = f"<text x={_MARGIN} y={_HEIGHT + 14}>{low:.4g}</text>"
    ends += f"<text x={_WIDTH - _MARGIN} y={_HEIGHT + 14} text-anchor=end>{high:.4g}</text>"
    label = f"distribution of {escape(score['name'])}"
    size = f"viewBox='0 0 {_WIDTH} {_HEIGHT + 20}'"
    return f"<svg class=chart {size} role=img aria-label='{label}'>{''.join(drawn)}{ends}</svg>"


def _bin(left: float, right: float, counts: Sequence[int], most: int) -> str:
    drawn, top = "", float(_HEIGHT)
    for count, kind in zip(counts, ("kept", "dropped"), strict=True):
        height = (_HEIGHT - 18) * count / most
        top -= height
        if count:
            width = max(right - left - 1, 1)
            drawn += f"<rect class={kind} x={left} y={top:.1f} width={width:.1f} height={height:.1f} />"
    return drawn


def _mark(name: str, x: float) -> str:
    line = f"<line class=mark x1={x} x2={x} y1=12 y2={_HEIGHT} />"
    return f"{line}<text x={max(x, 2 * _MARGIN)} y=10 text-anchor=middle>{name} %</text>"


def _cut(cut: Mapping[str, Any], at: Any) -> str:
    x = at(cut["threshold"])
    left, right = (x, _WIDTH - _MARGIN) if cut["bound"] == "maximum" else (_MARGIN, x)
    shade = f"<rect class=shade x={left} y=12 width={max(right - left, 0):.1f} height={_HEIGHT - 12} />"
    title = f"<title>{escape(cut['name'])}: {cut['bound']} {cut['threshold']:g}</title>"
    return f"{shade}<line class=cut x1={x} x2={x} y1=12 y2={_HEIGHT}>{title}</line>"


def upset_chart(subsets: Mapping[str, Any], columns: int = 20) -> str:
    """Intersections of the subsets: a column each, with its size above and a dot for every subset in it."""
    shown = subsets["intersections"][:columns]
    if not shown:
        return "<p>No clip is kept.</p>"
    left, top, step, row = 250, 110, 40, 30
    most, width = shown[0]["clips"], left + step * len(shown) + 20
    drawn = [_upset_row(name, i, subsets["sizes"], (left, top, row), width) for i, name in enumerate(SUBSETS)]
    for column, item in enumerate(shown):
        drawn.append(_upset_column(item, left + step * column + step // 2, most, (top, row)))
    size = f"viewBox='0 0 {width} {top + row * len(SUBSETS) + 8}' style='max-width:{width}px'"
    return f"<svg class=chart {size} role=img aria-label='overlap of the subsets'>{''.join(drawn)}</svg>"


def _upset_row(name: str, row: int, sizes: Mapping[str, int], place: tuple[int, int, int], width: int) -> str:
    left, top, step = place
    y = top + step * row
    most = max(sizes.values()) or 1
    length = round(80 * sizes[name] / most, 1)
    back = f"<rect class=back x={left} y={y} width={width - left - 20} height={step - 4} rx=3 />"
    size = f"<rect class=kept x={left - 90} y={y + 8} width={length} height=10 />"
    text = f"<text x={left - 96} y={y + 17} text-anchor=end>{name.replace('_', ' ')} {sizes[name]:,}</text>"
    return back + size + text


def _upset_column(item: Mapping[str, Any], x: int, most: int, place: tuple[int, int]) -> str:
    top, step = place
    height = (top - 30) * item["clips"] / most
    names = " and ".join(item["subsets"]) or "in no subset"
    drawn = f"<rect class=kept x={x - 8} y={top - 10 - height:.1f} width=16 height={height:.1f}>"
    drawn += f"<title>{escape(names)}: {item['clips']:,}</title></rect>"
    drawn += f"<text x={x} y={top - 14 - height:.1f} text-anchor=middle>{item['clips']:,}</text>"
    rows = [SUBSETS.index(name) for name in item["subsets"]]
    places = [top + step * row + step // 2 - 2 for row in rows]
    if places:
        drawn += f"<line class=join x1={x} x2={x} y1={min(places)} y2={max(places)} />"
    return drawn + "".join(f"<circle cx={x} cy={y} r=6 />" for y in places)
