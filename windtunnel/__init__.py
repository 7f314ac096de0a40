"""The `windtunnel` command: thin, it starts and joins the parts."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """The installed version, or `unknown` in a checkout that was never installed."""
    try:
        return metadata.version("windtunnel")
    except metadata.PackageNotFoundError:
        return "unknown"
