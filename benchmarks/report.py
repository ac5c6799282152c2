"""The report: a table for the terminal, and the README's tables and plots, drawn from the results alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

BEGIN, END = "<!-- BEGIN FIGURES (drawn by scripts/bench) -->", "<!-- END FIGURES -->"
WIDTH, LEFT, ROW = 860, 400, 26
GREEN, RED, GREY = "#2d7d46", "#b3372e", "#888888"


def number(value: float) -> str:
    """As many digits as say something."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def series(one: Mapping[str, Any]) -> str:
    spread = f" ({number(one['quartiles'][0])} to {number(one['quartiles'][1])})" if one["n"] > 2 else ""
    return f"{number(one['median'])} {one['unit']}{spread}".strip()


def verdict(check: Mapping[str, Any]) -> str:
    if check["met"]:
        return "met"
    return f"missed by {100 * check['missed_by']:.0f} %" if check["limit"] else "missed"


def target(check: Mapping[str, Any]) -> str:
    return f"{'≥' if check['least'] else '≤'} {number(check['limit'])} {check['unit']}".strip()


def in_short(figure: Mapping[str, Any]) -> str:
    checks = "; ".join(
        f"{c['what']}: {number(c['value'])} {c['unit']} ({target(c)}: {verdict(c)})" for c in figure["checks"]
    )
    beside = f" beside {series(figure['floor'])}" if figure["floor"] else ""
    return f"{figure['what']}: {series(figure['measured'][0])}{beside}. {checks}"


def plain(results: Mapping[str, Any]) -> str:
    """For a terminal."""
    lines = []
    for figure in results["figures"]:
        lines.append(figure["what"])
        for one in [*figure["measured"], *([figure["floor"]] if figure["floor"] else [])]:
            lines.append(
                f"    {series(one):>34}  {one['what']}, {one['n']} times, {number(one['min'])} to {number(one['max'])}"
            )
        lines += [
            f"    {number(c['value']) + ' ' + c['unit']:>34}  {c['what']}: target {target(c)}, {verdict(c)}"
            for c in figure["checks"]
        ]
        lines += [f"    {note}" for note in figure["notes"]]
    if results["failed"]:
        lines.append(f"FAILED: {', '.join(results['failed'])}")
    return "\n".join(lines)


def compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Each check's value then and now."""
    old = {(f["name"], c["what"]): c["value"] for f in before["figures"] for c in f["checks"]}
    lines = ["then → now"]
    for figure in after["figures"]:
        for check in figure["checks"]:
            was = old.get((figure["name"], check["what"]))
            if was is not None:
                change = f"{100 * (check['value'] / was - 1):+.0f} %" if was else "new"
                lines.append(
                    f"    {number(was):>8} → {number(check['value']):>8} {check['unit']:<5} {change:>7}  "
                    f"{figure['name']}: {check['what']}"
                )
    return "\n".join(lines)


# The README


def draw(results: Mapping[str, Any], folder: Path) -> None:
    """Write tables and plots into `folder`/README.md, between the two markers, and the plots beside it."""
    figures = results["figures"]
    (folder / "targets.svg").write_text(targets_plot(figures), "utf-8")
    failovers = [figure for figure in figures if figure["name"].startswith("failover")]
    if failovers:
        (folder / "failover.svg").write_text(spread_plot(failovers), "utf-8")
    path = folder / "README.md"
    head, rest = path.read_text("utf-8").split(BEGIN)
    _, tail = rest.split(END)
    path.write_text(head + BEGIN + "\n" + tables(figures, bool(failovers)) + END + tail, "utf-8")


def tables(figures: Sequence[Mapping[str, Any]], failovers: bool) -> str:
    lines = [
        "",
        "| what | measured: median (quartiles) | floor beside it | target | found | |",
        "|---|---|---|---|---|---|",
    ]
    for figure in figures:
        beside = figure["floor"]
        floor = f"{beside['what']}: {series(beside)}" if beside else ""
        ours = "<br>".join(f"{one['what']}: {series(one)}" for one in figure["measured"])
        first = f"{figure['what']} | {ours} | {floor}"
        for check in figure["checks"] or [None]:
            found = (
                "| | |"
                if check is None
                else f"{target(check)} {_of(check)} | {number(check['value'])} {check['unit']} | {_mark(check)} |"
            )
            lines.append(f"| {first} | {found}")
            first = " | | "
    notes = [f"- {figure['what']}: {note}" for figure in figures for note in figure["notes"]]
    lines += [
        "",
        "How far each figure is from its target (1 is the target; to the left of it is better):",
        "",
        "![each figure as a share of its target](targets.svg)",
        "",
    ]
    if failovers:
        lines += [
            "Each dot is one leader killed; the line is the computed bound:",
            "",
            "![failover times](failover.svg)",
            "",
        ]
    lines += [*notes, "", "Taken on:", ""]
    for text in dict.fromkeys(_machine(figure) for figure in figures):
        named = ", ".join(f"`{figure['name']}`" for figure in figures if _machine(figure) == text)
        lines.append(f"- {text}: {named}")
    loads = [load for figure in figures for load in (figure["load_before"], figure["load_after"])]
    lines += ["", f"Load of the machine meanwhile: {number(min(loads))} to {number(max(loads))}.", ""]
    return "\n".join(lines)


def _of(check: Mapping[str, Any]) -> str:
    return str(check["what"])


def _mark(check: Mapping[str, Any]) -> str:
    return "met" if check["met"] else f"**{verdict(check)}**"


def _machine(figure: Mapping[str, Any]) -> str:
    one = figure["machine"]
    return (
        f"{one['time'][:10]}, commit {one['commit']}, {one['processors']} × {one['processor']}, "
        f"{one['memory_gib']} GiB, {one['system']}, {one['file_system']}, Python {one['python']}, git {one['git']}"
    )


def targets_plot(figures: Sequence[Mapping[str, Any]]) -> str:
    """One bar a check: its share of the target, where 1 is just met, to four times that."""
    rows = [(figure, check) for figure in figures for check in figure["checks"] if check["limit"]]
    unit = (WIDTH - LEFT - 70) / 4
    parts = []
    for place, (figure, check) in enumerate(rows):
        share = check["limit"] / max(check["value"], 1e-9) if check["least"] else check["value"] / check["limit"]
        y = 20 + place * ROW
        words = f"{figure['name']}: {check['what']}"
        color = GREEN if check["met"] else RED
        parts += [
            _text(LEFT - 8, y + 13, words[:62], anchor="end"),
            f'<rect x="{LEFT}" y="{y}" width="{unit * min(share, 4):.1f}" height="{ROW - 8}" fill="{color}"/>',
            _text(LEFT + unit * min(share, 4) + 5, y + 13, f"{share:.2f}" + (" →" if share > 4 else "")),
        ]
    height = 30 + len(rows) * ROW
    line = f'<line x1="{LEFT + unit:.1f}" y1="10" x2="{LEFT + unit:.1f}" y2="{height - 8}" stroke="black"/>'
    return _svg(height, [*parts, line])


def spread_plot(figures: Sequence[Mapping[str, Any]]) -> str:
    """Every run of a figure as a dot, on a scale that ends just above its bound."""
    parts = []
    for place, figure in enumerate(figures):
        one, bound = figure["measured"][0], figure["checks"][0]["limit"]
        scale = (WIDTH - 140) / (1.15 * max(bound, one["max"]))
        y = 34 + place * 70
        words = f"median {number(one['median'])} s, most {number(one['max'])} s, bound {number(bound)} s"
        parts.append(_text(10, y - 14, f"{figure['what']}: {words}"))
        parts.append(f'<line x1="10" y1="{y + 10}" x2="{WIDTH - 120}" y2="{y + 10}" stroke="{GREY}"/>')
        parts += [
            f'<circle cx="{10 + scale * value:.1f}" cy="{y + 10}" r="4" fill="{GREEN}" fill-opacity="0.45"/>'
            for value in (one["values"] or [one["min"], *one["quartiles"], one["median"], one["max"]])
        ]
        x = 10 + scale * bound
        parts.append(f'<line x1="{x:.1f}" y1="{y - 4}" x2="{x:.1f}" y2="{y + 24}" stroke="{RED}" stroke-width="2"/>')
    return _svg(30 + 70 * len(figures), parts)


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'


def _svg(height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
        'font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )
