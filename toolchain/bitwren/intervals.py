"""How sure a measured figure is: 95 % intervals of shares, means and areas under ROC curves, and a test of paired answers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]

Z = 1.959963984540054
"""The normal distribution's 97.5 % point."""
RESAMPLES, SEED = 2000, 0x2545F491

Scores = NDArray[np.float64]


def wilson(successes: float, trials: int) -> Interval:
    """Score interval of a share (Wilson 1927): sound for few trials and for shares near 0 and 1, where the normal one is not."""
    share, square = successes / trials, Z * Z / trials
    middle = (share + square / 2) / (1 + square)
    reach = Z / (1 + square) * math.sqrt(share * (1 - share) / trials + square / (4 * trials))
    return min(max(0.0, middle - reach), share), max(min(1.0, middle + reach), share)


def bootstrap(values: NDArray[np.float64]) -> Interval:
    """Percentile interval of a mean (Efron 1979), by a fixed seed: the same for the same values."""
    random = np.random.default_rng(SEED)
    means = np.array([values[random.integers(0, len(values), len(values))].mean() for _ in range(RESAMPLES)])
    low, high = np.quantile(means, [0.025, 0.975])
    mean = float(values.mean())
    return min(float(low), mean), max(float(high), mean)


def auroc(inside: Scores, outside: Scores) -> float:
    """Area under the ROC curve: the share of pairs whose inside score is the higher, ties counting half (Mann & Whitney 1947)."""
    return float(_wins(inside, outside).mean())


def delong(inside: Scores, outside: Scores) -> Interval:
    """Interval of :func:`auroc` by the variance of DeLong et al. 1988, on the logit scale, which keeps it within 0 .. 1.

    Where that variance is 0, as when all pairs are in order, Wilson's interval for the smaller sample stands in: it is wider.
    """
    area = auroc(inside, outside)
    fewest = min(len(inside), len(outside))
    variance = 0.0
    if fewest > 1:
        of_inside, of_outside = _wins(inside, outside), 1 - _wins(outside, inside)
        variance = float(of_inside.var(ddof=1) / len(inside) + of_outside.var(ddof=1) / len(outside))
    if variance <= 0 or not 0 < area < 1:
        return wilson(area * fewest, fewest)
    logit, reach = math.log(area / (1 - area)), Z * math.sqrt(variance) / (area * (1 - area))
    return _logistic(logit - reach), _logistic(logit + reach)


def mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided exact p-value of McNemar's test (1947) that A and B are equally often right, by what one alone answers."""
    trials = only_a + only_b
    tail = sum(math.comb(trials, count) for count in range(min(only_a, only_b) + 1))
    return min(1.0, 2 * tail / (1 << trials))


def _wins(scores: Scores, others: Scores) -> NDArray[np.float64]:
    """Of each score the share of the others that are below it, ties counting half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, scores, side="left") + np.searchsorted(ordered, scores, side="right")
    return np.asarray(below / (2 * len(others)), dtype=np.float64)


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value > -700 else 0.0
