"""A report as one HTML page: no scripts, no files beside it, nothing fetched. Its text is page.html.jinja."""

from __future__ import annotations

from collections.abc import Mapping

from curation.report.findings import Findings
from curation.report.flow_picture import flow_picture

TEMPLATE = "page.html.jinja"


def page(findings: Findings, thumbs: Mapping[str, str]) -> str:
    """The whole page. `thumbs`: address of a picture by key. What is no drawing of ours is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    templates = Environment(
        loader=PackageLoader("curation.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return templates.get_template(TEMPLATE).render(
        findings=findings,
        thumbs=thumbs,
        sizes=[(f"groups of {size}", count) for size, count in findings.group_sizes],
        flow=Markup(flow_picture(findings.flow, findings.parts)),  # noqa: S704 - drawn by us, its texts escaped
        sweep=Markup(findings.sweep_svg),  # noqa: S704
        clusters=Markup(findings.clusters),  # noqa: S704
    )
