"""Loads: Locust scenarios that drive a gateway on the fake fleet, and the audit after them.

Importing this package does not import Locust, whose patches for gevent belong to its own processes.
"""

from __future__ import annotations

from loadtests.results import Bounds
from loadtests.runner import SCENARIOS, run

__all__ = ["SCENARIOS", "Bounds", "run"]
