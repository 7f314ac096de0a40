"""The `billing` scenario: JSON and SSE on both wires under faults and hang-ups, ending in the audit.

This is the locustfile; `windtunnel load billing` prepares the users, runs it and judges what it measured
(loadtests/runner.py).
"""

from __future__ import annotations

from loadtests.driver import Driver


class BillingDriver(Driver):
    """Drives the calls of loadtests/calls.py."""
