"""Quantiles of any number of positive samples, in bounded memory.

Samples are counted in buckets whose bounds grow by 1 %, so a quantile is off by at most half a percent, and every
positive number that a clock can show has its place in fewer than 4,000 buckets. The extremes are kept exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

_GROWTH: Final = 1.01
_LOG_GROWTH: Final = math.log(_GROWTH)
_SMALLEST: Final = 1e-9  # seconds; anything below shares a bucket
_LARGEST: Final = 1e6


class Quantiles:
    """A histogram with logarithmic buckets."""

    __slots__ = ("_buckets", "count", "maximum", "minimum")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.minimum = math.inf
        self.maximum = 0.0

    def add(self, sample: float, count: int = 1) -> None:
        """Count one sample, or so many that are alike."""
        bucket = round(math.log(min(max(sample, _SMALLEST), _LARGEST)) / _LOG_GROWTH)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + count
        self.count += count
        self.minimum = min(self.minimum, sample)
        self.maximum = max(self.maximum, sample)

    def quantile(self, fraction: float) -> float | None:
        """The sample below which `fraction` of all lie; None before the first."""
        if not self.count:
            return None
        return self.quantiles([fraction])[0]

    def quantiles(self, fractions: Iterable[float]) -> list[float]:
        """The samples below which each of these ascending fractions of all lie, in one pass. There has to be one."""
        found: list[float] = []
        buckets = iter(sorted(self._buckets))
        bucket = next(buckets)
        passed = self._buckets[bucket]
        for fraction in fractions:
            rank = fraction * (self.count - 1)
            while passed <= rank:
                bucket = next(buckets)
                passed += self._buckets[bucket]
            found.append(min(max(_GROWTH**bucket, self.minimum), self.maximum))
        return found
