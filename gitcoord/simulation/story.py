"""A failing seed, shown to a person: reduced to the fewest faults and the shortest time with which it still fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from gitcoord.core.leadership.timings import PROFILES
from gitcoord.simulation import faults
from gitcoord.simulation.schedule import Options, Result, run

LINES_MAX = 60
TRIES_MAX = 60  # runs that shrinking may take


def shrink(seed: int, options: Options) -> tuple[Options, Result]:
    """Return options with few faults and a short time, found greedily, with which the seed fails in the same way."""
    best, tries = run(seed, options, keep_trace=True), 0
    kind = _kind(best.violation)
    going = bool(best.violation)
    while going and tries < TRIES_MAX:
        going = False
        for milder in _milder(options, best):
            tries += 1
            result = run(seed, milder, keep_trace=True)
            if result.violation and _kind(result.violation) == kind:
                options, best, going = milder, result, True
                break
            if tries >= TRIES_MAX:
                break
    return options, best


def _kind(violation: str) -> str:
    """Return the violation without names of machines, ids and numbers."""
    return re.sub(r"\b(?:m\d\w*|agent\d|[0-9a-z]{6}|bad:\S+|[\d.]+)(?: and (?=m))?|, ", "", violation)


def _milder(options: Options, result: Result) -> Iterator[Options]:
    for name in result.classes:
        yield replace(options, without=options.without | {name})
    if options.nodes > 2:
        yield replace(options, nodes=options.nodes - 1)
    least_s = 5 * PROFILES[options.profile].bound_s() if result.seed % 2 == 0 else 10  # time to recover
    for part in (0.5, 0.75, 0.9):
        if options.seconds * part >= least_s:
            yield replace(options, seconds=float(int(options.seconds * part)))


def command(seed: int, options: Options) -> str:
    """Return the command that replays the seed."""
    words = [f"gitcoord simulate --seed {seed} --schedules 1 --trace"]
    default = Options()
    if options.nodes != default.nodes:
        words.append(f"--nodes {options.nodes}")
    if options.profile != default.profile:
        words.append(f"--profile {options.profile}")
    if options.seconds != default.seconds:
        words.append(f"--seconds {options.seconds:g}")
    if options.only is not None:
        words.append(f"--only {','.join(sorted(options.only)) or 'none'}")
    if options.without:
        words.append(f"--without {','.join(sorted(options.without))}")
    if options.hostile:
        words.append("--hostile")
    return " ".join(words)


def tell(options: Options, result: Result) -> str:
    """Return a text about the violation, its faults and the newest steps, with the command that replays it."""
    named = set(re.findall(r"\b(?:m\d+(?:c\d|i)?|[0-9a-z]{6})\b", result.violation))
    loud = re.compile(
        r"LEDGER|ELECTED|CRASH|COPY|IMAGE|RESTORED|SET BACK|DELETED|CUT OFF|WINS|liar|the hostile|"
        r"becomes|carries|rechains|VIOLATION|suspended|gone for good|fork|BUG|forgotten"
    )
    shown = [line for line in result.trace if loud.search(line) or any(name in line for name in named)]
    left_out = len(shown) - LINES_MAX
    head = [f"Seed {result.seed}: {result.violation}", ""]
    head += [f"  {name:<10} {faults.FAULTS[name]}" for name in result.classes] or ["  no fault at all"]
    head += ["", f"  ({left_out} earlier lines left out)"] if left_out > 0 else [""]
    return "\n".join([*head, *shown[-LINES_MAX:], "", f"Replay it: {command(result.seed, options)}"])
