"""What the nine agents of nine.toml can do: each reads a task's body (JSON) and prints its answer as JSON.

nine.py [SKILL]    one of the functions below; without it, the first capability that the task needs
"""

from __future__ import annotations

import json
import statistics
import sys
from datetime import datetime
from typing import Any

HOURS = {"Tokyo": (0, 9), "London": (8, 17), "New York": (13, 22)}  # of the day, UTC


def risk(prices: list[float], **_: Any) -> dict[str, Any]:
    returns = [after / before - 1 for before, after in zip(prices, prices[1:])]
    peaks = [max(prices[: n + 1]) for n in range(len(prices))]
    return {"volatility": statistics.pstdev(returns), "worst_drawdown": max(1 - p / q for p, q in zip(prices, peaks))}


def session(at: str, **_: Any) -> dict[str, Any]:
    hour = datetime.fromisoformat(at).hour
    return {"open": [name for name, (first, last) in HOURS.items() if first <= hour < last]}


def pattern(prices: list[float], **_: Any) -> dict[str, Any]:
    short, long = statistics.fmean(prices[-3:]), statistics.fmean(prices)
    return {"trend": "up" if short > long else "down" if short < long else "none"}


def execution(quantity: int, slices: int = 4, **_: Any) -> dict[str, Any]:
    size, rest = divmod(quantity, slices)
    return {"slices": [size + (n < rest) for n in range(slices)]}


def pair(prices: list[float], others: list[float], **_: Any) -> dict[str, Any]:
    return {"correlation": statistics.correlation(prices, others)}


def decision(prices: list[float], limit: float = 0.05, **_: Any) -> dict[str, Any]:
    trend, volatility = pattern(prices)["trend"], risk(prices)["volatility"]
    return {"trade": {"up": "buy", "down": "sell"}.get(trend, "hold") if volatility <= limit else "hold"}


def microstructure(bids: list[float], asks: list[float], **_: Any) -> dict[str, Any]:
    return {"spread": min(asks) - max(bids), "imbalance": (len(bids) - len(asks)) / (len(bids) + len(asks))}


def sentiment(text: str, **_: Any) -> dict[str, Any]:
    words = text.lower().split()
    return {
        "mood": sum(word in ("gain", "rise", "strong") for word in words)
        - sum(word in ("loss", "fall", "weak") for word in words)
    }


def summary(**given: Any) -> dict[str, Any]:
    return {"keys": sorted(given)}


SKILLS = {
    one.__name__: one for one in (risk, session, pattern, execution, pair, decision, microstructure, sentiment, summary)
}

if __name__ == "__main__":
    task = json.load(sys.stdin)
    skill = sys.argv[1] if len(sys.argv) > 1 else task["needs"][0]
    print(json.dumps(SKILLS[skill](**json.loads(task["body"] or "{}"))))
