"""The frame of every exported HTML page: one file, readable and printable, with no script or outside assets."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from assist.files import PAGE_BEGINS

STYLE = """
:root{color-scheme:light dark;--ink:#16202b;--second:#51606f;--line:#dfe3e8;--ground:#fff;--soft:#f4f6f8}
@media (prefers-color-scheme:dark){:root{--ink:#edf1f5;--second:#b3bfca;--line:#2b3642;--ground:#182029;--soft:#202b36}}
*{box-sizing:border-box}
body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--ground);max-width:60rem;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.05rem;margin:1.6rem 0 .4rem}p{margin:.3rem 0}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--line)}
th{font-weight:600;color:var(--second)}.second{color:var(--second)}
td.t{white-space:nowrap;font-variant-numeric:tabular-nums;width:4.2rem}
td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}
"""
PRINT = """
@page{size:A4;margin:16mm 14mm 18mm}
@media print{:root{color-scheme:light;--ink:#000;--second:#444;--line:#bbb;--ground:#fff;--soft:#f4f4f4}
body{margin:0;max-width:none;padding:0;font-size:10.5pt}h2{break-after:avoid}tr,dl,svg,.flag{break-inside:avoid}
thead{display:table-header-group}}
"""


def html_page(title: str, body: str, *, style: str = "") -> str:
    """The whole page around an escaped body; `style` comes after the common one and before what printing asks for."""
    return (
        f'{PAGE_BEGINS}<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<style>{STYLE}{style}{PRINT}</style></head><body>{body}</body></html>\n"
    )


def section(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A headed table; nothing where it has no rows."""
    return f"<h2>{escape(title)}</h2>{table(head, rows)}" if rows else ""


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, figures: bool = False) -> str:
    """A table of escaped cells. A column headed "At" holds times; with `figures` all but the first hold numbers."""
    kinds = [" class=t" if name == "At" else " class=n" if figures and n else "" for n, name in enumerate(head)]
    names = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for kind, name in zip(kinds, head, strict=True))
    lines = "".join(
        f"<tr>{''.join(f'<td{kind}>{escape(cell)}</td>' for kind, cell in zip(kinds, row, strict=True))}</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table>"
