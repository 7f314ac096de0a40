"""The wire formats, by name. A new module here is for a new wire; a new vendor of a known wire is a row of data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from simulator.dialects.anthropic_messages import AnthropicMessages
from simulator.dialects.base import Dialect
from simulator.dialects.openai_chat import OpenAIChat

DIALECTS: Final[Mapping[str, Dialect]] = {dialect.name: dialect for dialect in (OpenAIChat(), AnthropicMessages())}
