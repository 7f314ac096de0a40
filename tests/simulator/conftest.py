"""How the property tests of the simulator run: without a deadline, which a busy machine would miss."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("simulator", deadline=None)
settings.load_profile("simulator")
