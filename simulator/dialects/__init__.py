"""The wire formats, by name. A new module here is for a new wire; a new vendor of a known wire is a row of data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from simulator.dialects.anthropic.messages import AnthropicMessages
from simulator.dialects.ark.images import ArkImages
from simulator.dialects.ark.tasks import ArkTasks
from simulator.dialects.azure_videos.jobs import AzureVideos
from simulator.dialects.base import Dialect
from simulator.dialects.bfl.flux import Flux
from simulator.dialects.dashscope.services import DashScope
from simulator.dialects.deepgram.deepgram import Deepgram
from simulator.dialects.elevenlabs.elevenlabs import ElevenLabs
from simulator.dialects.fal.api import FalQueue, FalRun
from simulator.dialects.fish.fish import Fish
from simulator.dialects.gemini.generate import GeminiGenerate
from simulator.dialects.gemini.predict import GooglePredict
from simulator.dialects.huggingface.inference import HFInference
from simulator.dialects.kling.legacy import KlingLegacy
from simulator.dialects.kling.tasks import Kling
from simulator.dialects.minimax.tasks import MiniMaxTasks
from simulator.dialects.minimax.video import MiniMaxVideo
from simulator.dialects.mistral.ocr import MistralOCR
from simulator.dialects.openai.audio import OpenAIAudio
from simulator.dialects.openai.chat import OpenAIChat
from simulator.dialects.openai.embeddings import OpenAIEmbeddings
from simulator.dialects.openai.images import OpenAIImages
from simulator.dialects.openai.moderations import OpenAIModerations
from simulator.dialects.openai.videos import OpenAIVideos
from simulator.dialects.pictures.pictures import Pictures
from simulator.dialects.replicate.api import Replicate
from simulator.dialects.responses.operations import OpenAIResponses
from simulator.dialects.revai.revai import RevAI
from simulator.dialects.runpod.serverless import RunPod
from simulator.dialects.veo.files import VeoFiles
from simulator.dialects.veo.operations import Veo, VertexVeo
from simulator.dialects.vidu.tasks import Vidu
from simulator.dialects.xai.imagine import XAIImagine
from simulator.dialects.xai.voice import XAIVoice

_ALL: Final[tuple[Dialect, ...]] = (
    OpenAIChat(),
    OpenAIResponses(),
    OpenAIImages(),
    OpenAIAudio(),
    OpenAIEmbeddings(),
    OpenAIModerations(),
    OpenAIVideos(),
    AzureVideos(),
    AnthropicMessages(),
    GeminiGenerate(),
    GooglePredict(),
    Veo(),
    VertexVeo(),
    VeoFiles(),
    RunPod(),
    KlingLegacy(),
    Kling(),
    Vidu(),
    Pictures(),
    HFInference(),
    MistralOCR(),
    XAIImagine(),
    XAIVoice(),
    ArkTasks(),
    ArkImages(),
    Flux(),
    MiniMaxVideo(),
    MiniMaxTasks(),
    DashScope(),
    Replicate(),
    FalRun(),
    FalQueue(),
    Fish(),
    Deepgram(),
    ElevenLabs(),
    RevAI(),
)
DIALECTS: Final[Mapping[str, Dialect]] = {dialect.name: dialect for dialect in _ALL}
