"""Pages of HTML that load nothing from elsewhere: the frame of a page with its style, tables and chips."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2330;--soft:#667085;--line:#d9dee7;--back:#f6f7f9;--card:#fff;--good:#14804a;
--bad:#c0362c;--bar:#4a74c9}
@media(prefers-color-scheme:dark){:root{--ink:#e7eaf0;--soft:#98a2b3;--line:#333b49;--back:#14181f;--card:#1c222c;
--good:#4cc38a;--bad:#ff7a6e;--bar:#7fa4f0}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);max-width:76rem;margin:0 auto;
padding:2rem 1.25rem 4rem}
h1{font-size:1.6rem;margin:0 0 .25rem}h2{font-size:1.1rem;margin:2.25rem 0 .6rem}
p{margin:.3rem 0;color:var(--soft)}
.chips{display:flex;flex-wrap:wrap;gap:.5rem;margin:1rem 0}
.chips span{background:var(--card);border:1px solid var(--line);border-radius:1rem;padding:.15rem .8rem}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:.6rem}
table{border-collapse:collapse;width:100%}
th,td{padding:.4rem .8rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
tr:last-child td{border-bottom:0}
th{font-weight:500;font-size:.85rem;color:var(--soft);white-space:nowrap}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.yes{color:var(--good);font-weight:600}.no{color:var(--bad);font-weight:600}
small,figcaption{color:var(--soft);font-size:.83rem}
figure{margin:0}img{width:100%;height:auto;background:#fff;border-radius:.4rem;border:1px solid var(--line)}
code,td.mono{font-family:ui-monospace,monospace;font-size:.83rem;word-break:break-all}
summary{cursor:pointer;color:var(--soft);margin:.6rem 0}
"""


def document(title: str, body: Iterable[str], style: str = "", head: str = "") -> Iterator[str]:
    """A page in parts, of which the body's may be made one at a time, so that a long page is never in memory.

    Args:
      title: plain text.
      body: HTML; empty parts are left out.
      style: CSS in addition to that of all pages.
      head: HTML of the head, before the style.
    """
    yield (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>\n"
        f"{head}<title>{escape(title)}</title><style>{_STYLE}{style}</style></head>\n<body>\n"
    )
    for part in body:
        if part:
            yield f"{part}\n"
    yield "</body></html>\n"


def table(head: Sequence[str], rows: Iterable[str]) -> str:
    """A table with titles in plain text (none if all are empty) and rows `<tr>...</tr>`."""
    titles = "".join(f"<th>{escape(name)}</th>" for name in head) if any(head) else ""
    return (
        f"<div class=scroll><table><thead><tr>{titles}</tr></thead><tbody>\n"
        + "\n".join(rows)
        + "\n</tbody></table></div>"
    )


def chips(texts: Iterable[str]) -> str:
    """Short facts in plain text, side by side."""
    return f"<div class=chips>{''.join(f'<span>{escape(text)}</span>' for text in texts)}</div>"
