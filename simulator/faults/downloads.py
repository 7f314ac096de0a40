"""Files that cannot be fetched though they are there. They bite on replies that are files: pictures, clips, sounds.

A link bears no directives: aim by a rule at the operation (`fetch_file`) or at the case of the job.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Final

from simulator.faults import options
from simulator.faults.base import FAULTS, Fault, Scene
from simulator.script import Ending, Frame, Script

FILES: Final = ("image/", "video/", "audio/", "application/octet-stream", "binary/octet-stream")


def is_file(script: Script) -> bool:
    """Whether a reply is a file in one piece."""
    kind = dict(script.headers).get("content-type", "")
    return script.status == 200 and not script.stream and bool(script.frames) and kind.startswith(FILES)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadTruncateAt(Fault):
    """End a file early: the connection closes, or the file is short and its length says so."""

    kind: ClassVar[str] = "download_truncate_at"
    quirk: ClassVar[str] = "download-fails-so-regenerate"
    seen_at: ClassVar[str] = "https://github.com/kodelyx/flow-agent/issues/4"
    percent: float = options.number(50.0, high=100, about="of the file, that come")
    ends: str = options.one_of(
        "cut", ("cut", "short"), about="cut: the length told is that of the whole; short: that of what comes"
    )

    def script(self, script: Script, _: Scene) -> Script:
        if not is_file(script):
            return script
        data = b"".join(frame.data for frame in script.frames)
        left = data[: min(len(data) - 1, int(len(data) * self.percent / 100))]
        part = replace(script, frames=(script.frames[0].but(left),))
        if self.ends == "short":
            return part
        headers = tuple(pair for pair in script.headers if pair[0] != "content-length")
        return replace(part, headers=(*headers, ("content-length", str(len(data)))), ending=Ending.CUT)


@FAULTS.register
@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadRedirect(Fault):
    """Answer a download with a redirect to itself, at this host or another name of it."""

    kind: ClassVar[str] = "download_redirect"
    seen_at: ClassVar[str] = "Veo (302 to another host), OpenAI videos behind a CDN"
    status: int = options.whole(302, low=301, high=308, about="301, 302, 303, 307 or 308")
    times: int = options.whole(1, low=1, about="how often, before the same address gives the file")
    host: str = options.text("", header=True, about="host and port of the address; as the request has it if not said")

    def __post_init__(self) -> None:
        if self.status in (304, 305, 306):
            raise ValueError("status: due 301, 302, 303, 307 or 308")

    def script(self, script: Script, scene: Scene) -> Script:
        ask, serving = scene.ask, scene.serving
        if not is_file(script) or ask is None or serving.attempt > self.times:
            return script
        scheme, _, rest = ask.site.partition("://")
        host, _, provider = rest.partition("/")
        query = f"?{serving.query}" if serving.query else ""
        url = f"{scheme}://{self.host or host}/{provider.partition('/')[0]}{serving.path}{query}"
        frame = Frame(b"", "body", due_ms=script.head_due_ms or 0.0)
        return Script(self.status, (("location", url),), (frame,), head_due_ms=script.head_due_ms)
