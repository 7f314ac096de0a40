"""Run results: one NDJSON event log in; JSON, JUnit, Markdown, HTML, a terminal summary and a comparison out.

`reports.events` reads and writes the log, `reports.model` joins it into a `Run`, and each renderer is a pure function
of that `Run`. `write_all` writes them all. Nothing here talks to a gateway.
"""

from __future__ import annotations

from reports.files import FILES, load_run, write_all

__all__ = ["FILES", "load_run", "write_all"]
