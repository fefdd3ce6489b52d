"""A report as one HTML page: no scripts, no files beside it, nothing fetched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from curation.report.findings import Findings, Group, Pair, Query, SeedFindings
from curation.report.flow_picture import flow_picture

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid #ddd}
h3{font-size:1rem;margin:1.2rem 0 .3rem}
table{border-collapse:collapse}td,th{padding:.15rem .8rem .15rem 0;text-align:left;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.bar{background:#4a7ab5;height:.8rem;border-radius:2px}.bar.out{background:#c2654f}
.cards{display:flex;flex-wrap:wrap;gap:.8rem;align-items:flex-start}
.card{border:1px solid #8884;border-radius:6px;padding:.2rem .6rem}
.card h3{margin:.2rem 0}.card .row{margin:.3rem 0}.side{display:flex;flex-wrap:wrap;gap:3rem}
svg{max-width:40rem;height:auto}svg.flow,svg.sizes{display:block;max-width:66rem;width:100%;margin:.4rem 0 1rem}
svg.flow text{font-size:12px;fill:currentColor}.stream{fill:#4a7ab5;opacity:.85}.arm{fill:#c2654f;opacity:.8}
svg.sizes .whole{fill:#9db8d6}svg.sizes .part{fill:#2f5d94}
pre{font-size:12px;overflow:auto}
.row{display:flex;flex-wrap:wrap;gap:.5rem;align-items:flex-start;margin:.3rem 0 .9rem}
figure{margin:0;width:118px;font-size:11px;line-height:1.25;overflow-wrap:anywhere}
figure img{display:block;max-width:112px;max-height:112px;border:3px solid transparent}
figure.kept img{border-color:#3b8f57}figure.query img{border-color:#c99a2e}
.none{width:112px;height:60px;background:#eee}p.note{color:#666;max-width:48rem}code{font-size:12px}
@media(prefers-color-scheme:dark){body{background:#161718;color:#ddd}h2{border-color:#444}.none{background:#333}}
"""


def page(findings: Findings, thumbs: Mapping[str, str]) -> str:
    """The whole page. `thumbs`: address of a picture by key."""
    body = [
        f"<h1>{escape(findings.title)}</h1>",
        _section("From offered to kept", flow_picture(findings.flow, findings.parts) + _flow(findings.flow)),
        _section("Composition", _table(findings.composition_head, findings.composition_rows)),
        _section("Quarantine", _quarantine(findings)),
        _section("Sizes of the images", _shapes(findings)),
        _section("Sizes of duplicate groups", _histogram(findings.group_sizes)),
        _section("Largest duplicate groups", _groups(findings.groups, thumbs)),
        _section("Loosest duplicate groups", _groups(findings.loosest, thumbs)),
        _section(f"Pairs around the threshold {findings.threshold:g}", _pairs(findings, thumbs)),
        _section("What other thresholds would keep", findings.sweep_svg),
        _section("Images at the edge of the filters", _edges(findings, thumbs)),
        _section("Clusters before and after balancing", _clusters(findings)),
        *(_section(f"Brought by {seed.name}", _seed(seed, thumbs)) for seed in findings.seeds),
        _section("Settings and versions", _made_by(findings)),
    ]
    head = "<meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
    head += f"<title>{escape(findings.title)}</title><style>{_STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(body)}</body></html>\n"


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>" if content else ""


def _flow(flow: Sequence[tuple[str, int]]) -> str:
    most = max((count for _, count in flow), default=1) or 1
    rows = [
        f"<tr><td>{escape(name)}</td><td class='n'>{count:,}</td><td style='width:20rem'>"
        f"<div class='{'bar out' if name.startswith('dropped') else 'bar'}' style='width:{100 * count / most:.1f}%'>"
        "</div></td></tr>"
        for name, count in flow
    ]
    return f"<table>{''.join(rows)}</table>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Two columns of text, then numbers."""

    def line(tag: str, cells: Sequence[str]) -> str:
        inside = "".join(
            f"<{tag} class='{'n' if n > 1 else ''}'>{escape(text)}</{tag}>" for n, text in enumerate(cells)
        )
        return f"<tr>{inside}</tr>"

    return f"<table>{line('th', head)}{''.join(line('td', row) for row in rows)}</table>" if rows else ""


def _quarantine(findings: Findings) -> str:
    rows = [
        f"<tr><td>{escape(row.code)}</td><td class='n'>{row.count:,}</td><td>"
        + "<br>".join(f"<code>{escape(uri)}</code> {escape(detail)}" for uri, detail in row.examples)
        + "</td></tr>"
        for row in findings.quarantined
    ]
    return (
        f"<table><tr><th>reason</th><th class='n'>files</th><th>for example</th></tr>{''.join(rows)}</table>"
        if rows
        else ""
    )


def _histogram(sizes: Sequence[tuple[int, int]]) -> str:
    return _flow([(f"groups of {size}", count) for size, count in sizes]) if sizes else ""


def _shapes(findings: Findings) -> str:
    if not any(count for _, count in findings.shorter_sides):
        return ""
    columns = (("shorter side", findings.shorter_sides), ("width : height", findings.aspects))
    return (
        "<div class='side'>" + "".join(f"<div><h3>{name}</h3>{_flow(rows)}</div>" for name, rows in columns) + "</div>"
    )


def _made_by(findings: Findings) -> str:
    settings = f"<details><summary>curate.yaml</summary><pre>{escape(findings.settings)}</pre></details>"
    return _table(("made with", "version"), findings.versions) + settings


def _groups(groups: Sequence[Group], thumbs: Mapping[str, str]) -> str:
    parts = []
    for group in groups:
        more = f", {len(group.keys)} shown" if group.size > len(group.keys) else ""
        pictures = [_figure(key, thumbs, "kept" if key == group.kept else "") for key in group.keys]
        inner = "" if group.inner is None else f", lowest cosine {group.inner:.3f}"
        parts.append(f"<div class='card'><h3>{group.size} images{inner}{more}</h3>{_row(pictures)}</div>")
    note = "<p class='note'>A green frame marks the image that is kept.</p>" if parts else ""
    return f"{note}<div class='cards'>{''.join(parts)}</div>" if parts else ""


def _pairs(findings: Findings, thumbs: Mapping[str, str]) -> str:
    def shown(pairs: Sequence[Pair]) -> str:
        cards = [
            f"<div class='card'><h3>cosine {pair.cosine:.4f}</h3>"
            f"{_row([_figure(pair.key_a, thumbs), _figure(pair.key_b, thumbs)])}</div>"
            for pair in pairs
        ]
        return f"<div class='cards'>{''.join(cards)}</div>"

    parts = []
    if findings.pairs_above:
        parts.append(f"<p class='note'>Just above: merged, though barely.</p>{shown(findings.pairs_above)}")
    if findings.pairs_below:
        parts.append(f"<p class='note'>Just below: kept apart, though barely.</p>{shown(findings.pairs_below)}")
    return "".join(parts)


def _seed(seed: SeedFindings, thumbs: Mapping[str, str]) -> str:
    def line(query: Query) -> str:
        first = [_figure(query.query_key, thumbs, "query", "seed image")] if query.query_key else []
        rest = [_figure(key, thumbs, text=f"{cosine:.3f}") for key, cosine in query.brought]
        return f"<h3>{escape(query.title)}</h3>{_row([*first, *rest])}"

    return f"<p class='note'>{escape(seed.summary)}</p>" + "".join(line(query) for query in seed.queries)


def _edges(findings: Findings, thumbs: Mapping[str, str]) -> str:
    def shown(images: Sequence[tuple[str, float]], kind: str) -> str:
        return _row(_figure(key, thumbs, kind, f"{value:.4g}") for key, value in images)

    cards = [
        f"<h3>{escape(edge.name)}</h3><div class='side'><div><p class='note'>dropped, though barely</p>"
        f"{shown(edge.out, '')}</div><div><p class='note'>within the bound, though barely</p>"
        f"{shown(edge.inside, 'kept')}</div></div>"
        for edge in findings.edges
    ]
    return "".join(cards)


def _clusters(findings: Findings) -> str:
    if not findings.clusters:
        return ""
    return f"{findings.clusters}<p class='note'>{escape(findings.clusters_told)}</p>"


def _figure(key: str, thumbs: Mapping[str, str], kind: str = "", text: str = "") -> str:
    picture = f"<img src='{thumbs[key]}' alt=''>" if key in thumbs else "<div class='none'></div>"
    caption = f"{escape(text)}<br>" if text else ""
    return f"<figure class='{kind}'>{picture}<figcaption>{caption}<code>{escape(key)}</code></figcaption></figure>"


def _row(figures: Iterable[str]) -> str:
    return f"<div class='row'>{''.join(figures)}</div>"
