"""The golden values: which there are, where they are, and how others may differ from them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from golden import runs
from golden.cases import VARIANTS, Case
from golden.learning import LEARNERS, learned
from golden.summaries import in_any_order, in_order

FOLDER = Path(__file__).parent / "values"
CLOSE = 1e-6
"""Relative, and absolute, difference of real numbers on another machine."""

METHOD_RUNS = {
    f"{method}-{scenario}": Case(method, scenario)
    for method, scenarios in runs.scenarios_of_methods().items()
    for scenario in scenarios
}
CASES: dict[str, dict[str, Case | None]] = {
    "methods": dict(METHOD_RUNS),
    "settings": dict(VARIANTS),
    "learner": dict.fromkeys(LEARNERS),
}
"""By group, which is a file: a run, or a learner by its name."""


def path(group: str) -> Path:
    """The file of a group."""
    return FOLDER / f"{group}.json"


def made(group: str, name: str, folder: Path) -> dict[str, Any]:
    """The values that the code gives now."""
    case = CASES[group][name]
    return plain(learned(name, folder) if case is None else values_of(runs.run(case, folder)))


def values_of(measured: runs.Measured) -> dict[str, Any]:
    """Those of a run."""
    result = measured.result
    return plain(
        {
            "samples": measured.samples,
            **{name: result[name] for name in ("accuracy", "inference", "confusion")},
            "compression": result["compression"],
            "losses": measured.losses(),
            "weights": in_any_order(measured.weights()),
            "networks": [in_order(measured.network(task)) for task in range(measured.tasks)],
        }
    )


def plain(values: Any) -> Any:
    """As JSON gives them back, every bit."""
    return json.loads(json.dumps(values, allow_nan=False))


def differences(golden: Any, now: Any, *, exact: bool, at: str = "") -> Iterator[str]:
    """Where the values differ by more than they may, a line each.

    Exact: bit by bit. Otherwise real numbers to 1e-6, accuracies and predictions by one sample of
    a task, and checksums are not looked at.
    """
    if isinstance(golden, dict) and isinstance(now, dict) and golden.keys() == now.keys():
        for name, value in golden.items():
            if exact or name not in _COARSE:
                yield from differences(value, now[name], exact=exact, at=f"{at}/{name}")
            elif not _COARSE[name](value, now[name], golden.get("samples")):
                yield f"{at}/{name}: {value} became {now[name]}"
    elif isinstance(golden, list) and isinstance(now, list) and len(golden) == len(now):
        for place, (one, other) in enumerate(zip(golden, now, strict=True)):
            yield from differences(one, other, exact=exact, at=f"{at}/{place}")
    elif not (_equal if exact else _close)(golden, now):
        yield f"{at}: {golden!r:.300} became {now!r:.300}"


def _equal(golden: Any, now: Any) -> bool:
    return type(golden) is type(now) and golden == now


def _close(golden: Any, now: Any) -> bool:
    if isinstance(golden, float) and isinstance(now, float):
        return abs(golden - now) <= CLOSE * max(1.0, abs(golden))
    return _equal(golden, now)


def _percents(golden: Any, now: Any, samples: list[int]) -> bool:
    """By scenario, (T, T) with a task a column; or a learner's share."""
    if isinstance(golden, float):
        return abs(golden - now) <= 1 / samples[0] + CLOSE
    return golden.keys() == now.keys() and all(
        (one is None) is (other is None)
        and (one is None or abs(one - other) <= 100 / samples[task] + CLOSE)
        for name in golden
        for row, other_row in zip(golden[name], now[name], strict=True)
        for task, (one, other) in enumerate(zip(row, other_row, strict=True))
    )


def _confusions(golden: Any, now: Any, _: Any) -> bool:
    return golden.keys() == now.keys() and all(
        sum(abs(one - other) for one, other in zip(row, other_row, strict=True)) <= 2
        for name in golden
        for row, other_row in zip(golden[name], now[name], strict=True)
    )


def _labels(golden: Any, now: Any, _: Any) -> bool:
    return len(golden) == len(now) and sum(map(str.__ne__, golden, now)) <= 1


def _anything(*_: Any) -> bool:
    return True


_COARSE = {
    "accuracy": _percents,
    "inference": _percents,
    "confusion": _confusions,
    "predictions": _labels,
    "sha256": _anything,
}
"""Fields that are compared in a way of their own on another machine."""
