"""How the process that runs a load tells Locust's processes what to run."""

from __future__ import annotations

LOAD_ENV = "WINDTUNNEL_LOAD"  # names the JSON file; read by the master or the only process
