"""The wire formats, by name. A new module here is for a new wire; a new vendor of a known wire is a row of data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from simulator.dialects.anthropic.messages import AnthropicMessages
from simulator.dialects.base import Dialect
from simulator.dialects.gemini.generate import GeminiGenerate
from simulator.dialects.openai.audio import OpenAIAudio
from simulator.dialects.openai.chat import OpenAIChat
from simulator.dialects.openai.embeddings import OpenAIEmbeddings
from simulator.dialects.openai.images import OpenAIImages
from simulator.dialects.openai.moderations import OpenAIModerations
from simulator.dialects.responses.operations import OpenAIResponses
from simulator.dialects.runpod.serverless import RunPod

_ALL: Final[tuple[Dialect, ...]] = (
    OpenAIChat(),
    OpenAIResponses(),
    OpenAIImages(),
    OpenAIAudio(),
    OpenAIEmbeddings(),
    OpenAIModerations(),
    AnthropicMessages(),
    GeminiGenerate(),
    RunPod(),
)
DIALECTS: Final[Mapping[str, Dialect]] = {dialect.name: dialect for dialect in _ALL}
