"""Fixtures of the gateway's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.gateway.databases import place, redis_prefix, server_url
from tests.gateway.ground import ON, cleared, grounds, module_ground

if TYPE_CHECKING:
    import pytest

__all__ = ["cleared", "grounds", "module_ground", "place", "redis_prefix", "server_url"]


def pytest_configure(config: pytest.Config) -> None:
    """Labs that no test closes leave their connections to Redis to the collector."""
    if ON != "sqlite":
        config.addinivalue_line("filterwarnings", "ignore::ResourceWarning")
