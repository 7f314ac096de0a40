"""Fixtures of the gateway's tests."""

from tests.gateway.databases import place, redis_prefix, server_url

__all__ = ["place", "redis_prefix", "server_url"]
