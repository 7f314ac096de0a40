"""The gamma distribution by its median and 99th percentile, without a library for it.

Source: the series and the continued fraction of the incomplete gamma function (DLMF 8.11.4 and 8.9.2), and the
Wilson-Hilferty approximation, which is exact to all digits that matter where the shape is large.
"""

from __future__ import annotations

import math
from functools import lru_cache

Z99 = 2.3263478740408408  # the 99th percentile of the standard normal distribution
SHAPES = (0.05, 1e6)  # what is looked for lies between
LARGE = 300.0
STEPS = 80
TINY = 1e-300


def lower(shape: float, x: float) -> float:
    """The probability that a gamma variable of this shape and scale 1 is below x."""
    if x <= 0:
        return 0.0
    front = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1:
        term = total = 1 / shape
        n = shape
        while abs(term) > abs(total) * 1e-15:
            n += 1
            term *= x / n
            total += term
        return front * total
    b = x + 1 - shape
    c, d = 1 / TINY, 1 / b
    h = d
    for i in range(1, 1000):
        an = -i * (i - shape)
        b += 2
        d = 1 / (an * d + b or TINY)
        c = b + an / c or TINY
        h *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return 1 - front * h


def quantile(shape: float, probability: float, z: float) -> float:
    """Below which x a gamma variable is with this probability; `z` is the normal distribution's."""
    near = shape * max(TINY, 1 - 1 / (9 * shape) + z / (3 * math.sqrt(shape))) ** 3
    if shape > LARGE:
        return near
    low, high = 0.0, max(1.0, 4 * near + 10)
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if lower(shape, middle) < probability else (low, middle)
    return (low + high) / 2


@lru_cache(maxsize=256)
def fit(p50: float, p99: float) -> tuple[float, float] | None:
    """(mean, shape) with these percentiles; None when no shape that is looked at has them."""
    low, high = SHAPES
    if not _ratio(high) <= p99 / p50 <= _ratio(low):
        return None
    for _ in range(STEPS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _ratio(middle) > p99 / p50 else (low, middle)
    shape = math.sqrt(low * high)
    return p50 / quantile(shape, 0.5, 0.0) * shape, shape


def _ratio(shape: float) -> float:
    """99th percentile over median: the less, the larger the shape."""
    return quantile(shape, 0.99, Z99) / quantile(shape, 0.5, 0.0)
