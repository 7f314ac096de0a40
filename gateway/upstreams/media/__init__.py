"""The wires of vendors that make pictures, clips and sound: one module a vendor, without I/O of its own.

A dialect may be several objects, one for each kind of thing that it makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.media.order import Kind
from gateway.media.steps import Vendor
from gateway.upstreams.media.ark import ArkClips
from gateway.upstreams.media.ark_images import ArkImages
from gateway.upstreams.media.bfl import BFL
from gateway.upstreams.media.dashscope import DashScopeClips
from gateway.upstreams.media.fal_images import FalImages
from gateway.upstreams.media.fish import Fish
from gateway.upstreams.media.gemini_images import GeminiImages
from gateway.upstreams.media.hosted import Fal, Replicate
from gateway.upstreams.media.kling import Kling
from gateway.upstreams.media.minimax import MiniMax
from gateway.upstreams.media.openai_audio import OpenAIAudio
from gateway.upstreams.media.openai_images import OpenAIImages, OpenRouterImages
from gateway.upstreams.media.openai_videos import OpenAIVideos
from gateway.upstreams.media.replicate_images import ReplicateImages
from gateway.upstreams.media.veo import Veo, VertexVeo
from gateway.upstreams.media.vidu import Vidu
from gateway.upstreams.media.xai_images import XAIImages
from gateway.upstreams.media.xai_videos import XaiVideos

_ALL: Final[tuple[Vendor, ...]] = (
    OpenAIImages(),
    OpenRouterImages(),
    GeminiImages(),
    BFL(),
    ArkImages(),
    XAIImages(),
    FalImages(),
    ReplicateImages(),
    Fish(),
    OpenAIAudio(),
    ArkClips(),
    DashScopeClips(),
    Fal(),
    Kling(),
    MiniMax(),
    OpenAIVideos(),
    Replicate(),
    Veo(),
    VertexVeo(),
    Vidu(),
    XaiVideos(),
)
VENDORS: Final[Mapping[tuple[str, Kind], Vendor]] = {
    (vendor.dialect, kind): vendor for vendor in _ALL for kind in vendor.kinds
}
