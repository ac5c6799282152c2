"""`scripts/bench`: takes the figures, prints them beside their floors and targets, keeps them, and draws the README."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import day
import measure
import merging
import reading
import report
import running
import starting
import working
import writing
from measure import Figure
from options import Options

FIGURES: dict[str, Callable[[Options], Iterator[Figure]]] = {
    "append-queued": writing.append_queued,
    "append-sequenced": writing.append_sequenced,
    "eight-nodes": writing.eight_nodes,
    "sixteen-processes": writing.sixteen_processes,
    "drain": writing.drain,
    "idle-round": reading.idle_round,
    "cold-start": reading.cold_start,
    "refold": reading.refold,
    "failover": running.failover,
    "storage": reading.storage,
    "pushes": running.pushes,
    "resident": running.resident,
    "commands": starting.commands,
    "processor-time": starting.processor_time,
    "claim-race": working.claim_race,
    "dispatch": working.dispatch,
    "recovery": working.recovery,
    "mixed": working.mixed,
    "conflicts": merging.conflicts,
    "day": day.day,
}
RESULTS = Path(__file__).resolve().parent / "results"


def main() -> int:
    wanted = arguments()
    names = wanted.names or list(FIGURES)
    for name in names:
        if name not in FIGURES:
            print(f"bench: no figure {name!r}; there are: {', '.join(FIGURES)}", file=sys.stderr)
            return 2
    if wanted.draw:
        report.draw(json.loads(wanted.draw.read_text("utf-8")), RESULTS.parent)
        return 0
    try:
        before = json.loads(wanted.compare.read_text("utf-8")) if wanted.compare else None
    except (OSError, ValueError) as wrong:
        print(f"bench: {wanted.compare} cannot be read: {wrong}", file=sys.stderr)
        return 2
    results, failed = take(names, wanted)
    if wanted.save:
        keep(results, RESULTS / f"{wanted.save}.json")
    if wanted.json:
        print(json.dumps(results, indent=1))
    else:
        print(report.plain(results))
        if before:
            print("\n" + report.compared(before, results))
    return 1 if failed else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure gitcoord beside git's own floor.",
        epilog="figures: " + ", ".join(FIGURES),
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these figures")
    parser.add_argument("--quick", action="store_true", help="small and few: shows that it works, and measures nothing")
    parser.add_argument("--long", action="store_true", help="also the pushes a minute, which take ten minutes")
    parser.add_argument("--json", action="store_true", help="print JSON, schema gitcoord.bench/1")
    parser.add_argument("--compare", metavar="FILE", type=Path, help="show what changed since an earlier --json")
    parser.add_argument("--save", metavar="NAME", help="keep in benchmarks/results/NAME.json, among what is there")
    parser.add_argument("--draw", metavar="FILE", type=Path, help="only draw tables and plots into the README, and end")
    parser.add_argument("--cache", metavar="DIR", type=Path, help="where large ledgers are kept between runs")
    return parser.parse_args()


def take(names: list[str], wanted: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """All figures, in an environment of nobody's. One that fails is named, and the others go on."""
    figures, failed = [], []
    with tempfile.TemporaryDirectory(prefix="gitcoord-bench-", ignore_cleanup_errors=True) as top, measure.alone():
        place = measure.machine(Path(top).resolve())
        for name in names:
            folder = Path(top).resolve() / name
            folder.mkdir()
            print(f"bench: {name}", file=sys.stderr, flush=True)
            load = measure.load()
            try:
                for figure in FIGURES[name](Options(folder, wanted.cache, wanted.quick, wanted.long)):
                    loads = {"load_before": load, "load_after": measure.load()}
                    figures.append(figure.as_json() | {"machine": place} | loads)
                    print("  " + report.in_short(figures[-1]), file=sys.stderr, flush=True)
            except Exception:
                failed.append(name)
                traceback.print_exc()
    return {"schema": "gitcoord.bench/1", "quick": wanted.quick, "figures": figures, "failed": failed}, failed


def keep(results: dict[str, Any], path: Path) -> None:
    """Figures taken again replace those of the same name."""
    old = json.loads(path.read_text("utf-8"))["figures"] if path.exists() else []
    merged = {figure["name"]: figure for figure in [*old, *results["figures"]]}
    order = {name: place for place, name in enumerate(FIGURES)}
    figures = sorted(
        merged.values(),
        key=lambda one: max((p for n, p in order.items() if one["name"].startswith(n)), default=len(order)),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"schema": "gitcoord.bench/1", "quick": results["quick"], "figures": figures}, indent=1) + "\n",
        "utf-8",
    )


sys.exit(main())
