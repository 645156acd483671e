"""A page without its content: style for light and dark, colours of systems and curves; no script, nothing fetched."""

from collections.abc import Mapping

from w2l.report.markup import escaped

FRAME_HEIGHT = 180
"""Of a frame of a clip on the page, in pixels."""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{title}}</title>
<style>
:root{--ink:#24262b;--soft:#646a73;--paper:#f7f6f3;--card:#fff;--rule:#e2e0da;--grid:#ecebe6;--best:#0b6e4f;--warn:#a33b20;
--real:#8a8f98;--shuffled:#b9aa96;--band:#8a8f9826;--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#b3589a;--c4:#8c6d00;
--c5:#3f8fc4;--c6:#7a4fb5;--c7:#555}
@media(prefers-color-scheme:dark){:root{--ink:#e6e6e3;--soft:#a0a5ad;--paper:#16181c;--card:#1f2227;--rule:#353942;
--grid:#2b2f36;--best:#5fd3a6;--warn:#ff9b7d;--real:#9aa0aa;--shuffled:#84776a;--band:#9aa0aa2b;--c0:#56b4e9;--c1:#ff8c42;
--c2:#2fc79a;--c3:#e08bc5;--c4:#e0c040;--c5:#8ecbf0;--c6:#b795ea;--c7:#bbb}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1180px;margin:2em auto;
padding:0 1em}
h1{font-size:1.6em;margin:0}h2{font-size:1.25em;margin:2.2em 0 .4em}h3{font-size:1em;margin:1.4em 0 .3em}
p{margin:.3em 0 .8em}.lead{color:var(--soft);overflow-wrap:anywhere}
.note{color:var(--soft);font-size:.9em;max-width:100ch}
nav{margin:1em 0;font-size:.9em}nav a{margin-right:1.1em}a{color:var(--c0)}
.scroll{overflow-x:auto;margin:.3em 0 .8em}
table{border-collapse:collapse;background:var(--card);border:1px solid var(--rule)}
th,td{padding:.3em .65em;border-bottom:1px solid var(--grid);text-align:left;vertical-align:baseline}
th{font-weight:600;font-size:.9em;color:var(--soft);white-space:nowrap}th[title]{cursor:help}
.numbers td:not(:first-child),.numbers th:not(:first-child){text-align:right;font-variant-numeric:tabular-nums;
white-space:nowrap}
td:first-child{white-space:nowrap}.told td:last-child{text-align:left;white-space:normal;
font-size:.9em;color:var(--soft)}.told th:last-child{text-align:left}
td small{color:var(--soft);display:block;font-size:.8em}
tr.anchor td{background:var(--band)}
.best{color:var(--best);font-weight:700}.over{color:var(--warn)}.unsure{color:var(--soft)}
.bad{color:var(--warn);font-weight:600}
.key{display:inline-block;width:.75em;height:.75em;border-radius:50%;margin-right:.5em;vertical-align:-.02em}
.figures{display:flex;flex-wrap:wrap;gap:.9em}
figure,.clip{margin:0;background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:.6em .7em}
figcaption{font-weight:600;font-size:.9em}figcaption small,.clip small{color:var(--soft);font-weight:400}
.clip{margin:0 0 .9em;overflow-wrap:anywhere}.clip .row{display:flex;flex-wrap:wrap;gap:.6em;align-items:flex-start}
.clip b.num{font-variant-numeric:tabular-nums}.frames{display:flex;gap:3px;margin:.4em 0;overflow-x:auto}
.frames img{height:{{height}}px;width:auto;border-radius:3px;display:block}
details{margin:.4em 0 .8em}summary{cursor:pointer;font-weight:600}
h3~details summary{font-weight:400;color:var(--soft);font-size:.9em}summary small{color:var(--soft);font-weight:400}
dl{margin:.3em 0}dt{font-weight:600;margin-top:.7em}dt small{color:var(--soft);font-weight:400}
dd{margin:0;max-width:80ch}
svg{max-width:100%;height:auto;display:block;color:var(--ink)}
svg text{font:11px system-ui,sans-serif;fill:var(--ink)}svg .unit{fill:var(--soft)}
.axis{stroke:var(--soft)}.grid{stroke:var(--grid)}
polyline{fill:none;stroke:var(--tone);stroke-width:1.8;stroke-linejoin:round}polyline.thin{stroke-width:.8;opacity:.28}
polyline.behind{stroke-width:1.6;stroke-dasharray:5 3}
.mark{stroke:var(--tone,var(--soft));stroke-dasharray:3 3}.mark.goal{--tone:var(--soft)}
.whisker{stroke:var(--tone);stroke-width:2.4}.dot,.bar{fill:var(--tone)}.dot.faint{opacity:.4}.band{fill:var(--band)}
.c0{--tone:var(--c0)}.c1{--tone:var(--c1)}.c2{--tone:var(--c2)}.c3{--tone:var(--c3)}.c4{--tone:var(--c4)}.c5{--tone:var(--c5)}
.c6{--tone:var(--c6)}.c7{--tone:var(--c7)}.real{--tone:var(--real)}.shuffled{--tone:var(--shuffled)}
.key{background:var(--tone)}
@media print{body{max-width:none}figure,.clip,tr{break-inside:avoid}}
</style></head><body>
{{body}}
</body></html>
""".replace("{{height}}", str(FRAME_HEIGHT))
"""`{{title}}` and `{{body}}` are to be put in."""


def links_to(sections: Mapping[str, str]) -> str:
    """Return links to the sections (title -> HTML) that are not empty."""
    links = " ".join(f'<a href="#{_anchor(title)}">{title}</a>' for title, body in sections.items() if body)
    return f"<nav>{links}</nav>"


def whole_page(title: str, head: str, sections: Mapping[str, str]) -> str:
    """Return the page: its `head` as HTML, then the sections (title -> HTML) that are not empty."""
    parts = [
        f'<section id="{_anchor(heading)}"><h2>{heading}</h2>{body}</section>'
        for heading, body in sections.items()
        if body
    ]
    return PAGE.replace("{{title}}", escaped(title)).replace("{{body}}", "\n".join([head, *parts]))


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")
