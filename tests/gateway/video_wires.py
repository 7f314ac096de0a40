"""Vendors of clips as scripts: each takes an order, is polled and tells a clip, unless a test says otherwise."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.upstreams.memory import MemoryReply
from gateway.upstreams.transport import Request

MP4 = b"\0\0\0\x18ftypmp42 a clip"
LINK = "https://cdn.test/clip.mp4"
SITE = "http://127.0.0.1:8101"
VEO = "models/veo-3.1-generate-preview/operations/op1"
VERTEX = "projects/p/locations/l/publishers/google/models/veo/operations/op1"
FAL = f"{SITE}/fal/queue/fal-ai/app/requests/r1"

Script = MemoryReply | Callable[[Request], Awaitable[MemoryReply]]


@dataclass(frozen=True)
class Wire:
    """One vendor's words."""

    model: str  # of ours, whose chain begins with the vendor
    accepted: Any
    waits: Any
    made: Any
    failed: Any  # the job, once it has failed for no particular reason
    absent: tuple[int, Any] | None = None  # what a poll is told of a job that nobody knows
    empty: Any = None  # a success without a clip
    refusals: Mapping[str, tuple[int, Any]] = field(default_factory=dict)  # of a submission, by class
    keeps: bool = False  # the gateway keeps the file
    cancels: str | None = None  # method and last part of the path that call a job off


def kling(status: str, **more: Any) -> Any:
    return {
        "code": 0,
        "message": "SUCCEED",
        "data": {"task_id": "7", "task_status": status, "task_status_msg": "", **more},
    }


def kling_no(code: int, message: str) -> Any:
    return {"code": code, "message": message, "request_id": "r", "data": None}


def minimax(status: str, file_id: str = "", code: int = 0, message: str = "success") -> Any:
    return {
        "task_id": "9",
        "status": status,
        "file_id": file_id,
        "base_resp": {"status_code": code, "status_msg": message},
    }


def minimax_no(code: int, message: str) -> Any:
    return {"task_id": "", "base_resp": {"status_code": code, "status_msg": message}}


def ark(status: str, **more: Any) -> Any:
    return {"id": "cgt-1", "model": "m", "status": status, "error": None, "duration": 5, "framespersecond": 24, **more}


def ark_no(code: str, message: str = "no. Request id: 1") -> Any:
    return {"error": {"code": code, "message": message, "param": "", "type": "BadRequest"}}


def wan(status: str, usage: Any = None, **more: Any) -> Any:
    told = {"request_id": "r", "output": {"task_id": "t1", "task_status": status, **more}}
    return told if usage is None else {**told, "usage": usage}


def wan_no(code: str, message: str) -> Any:
    return {"code": code, "message": message, "request_id": "r"}


def google_no(code: int, status: str, message: str) -> Any:
    return {"error": {"code": code, "message": message, "status": status}}


def vidu(state: str, err_code: str = "", creations: Any = ()) -> Any:
    return {"id": "5", "state": state, "err_code": err_code, "credits": 20, "creations": list(creations)}


def vidu_no(status: int, word: str) -> tuple[int, Any]:
    return status, {"code": status, "reason": word, "message": word, "metadata": {}}


def xai_no(code: str, message: str) -> Any:
    return {"code": code, "error": message}


def sora(status: str, **more: Any) -> Any:
    return {"id": "video_1", "object": "video", "status": status, "progress": 0, "seconds": "8", "error": None, **more}


def fal_job(status: str, **more: Any) -> Any:
    links = {"status_url": f"{FAL}/status", "response_url": FAL, "cancel_url": f"{FAL}/cancel"}
    return {"status": status, "request_id": "r1", **links, **more}


def replicate(status: str, output: Any = None, error: Any = None) -> Any:
    return {"id": "p1", "status": status, "output": output, "error": error, "urls": {}}


WIRES: dict[str, Wire] = {
    "kling": Wire(
        model="kling-v3",
        accepted=kling("submitted"),
        waits=kling("processing"),
        made=kling("succeed", task_result={"videos": [{"id": "v", "url": LINK, "duration": "5.1"}]}),
        failed=kling("failed", task_status_msg="it broke"),
        absent=(404, kling_no(1203, "no such task")),
        empty=kling("succeed", task_result={"videos": []}),
        refusals={
            "auth": (401, kling_no(1004, "token expired")),
            "funds": (429, kling_no(1102, "resource pack used up")),
            "rate": (429, kling_no(1303, "parallel task over resource pack limit")),
            "invalid": (400, kling_no(1201, "duration is invalid")),
            "moderated": (400, kling_no(1301, "content safety")),
            "fault": (503, kling_no(5001, "maintenance")),
        },
    ),
    "minimax": Wire(
        model="MiniMax-Hailuo-02",
        accepted=minimax("", code=0) | {"task_id": "9"},
        waits=minimax("Processing"),
        made=minimax("Success", "205258526306433"),
        failed=minimax("Failed"),
        absent=(200, minimax("", code=2013, message="invalid params, task_id not found")),
        empty=minimax("Success"),
        keeps=True,
        refusals={
            "auth": (200, minimax_no(2049, "invalid api key")),
            "funds": (200, minimax_no(1008, "insufficient balance")),
            "rate": (200, minimax_no(1002, "rate limit")),
            "invalid": (200, minimax_no(2013, "invalid params, duration")),
            "moderated": (200, minimax_no(1026, "input new_sensitive")),
            "fault": (200, minimax_no(1001, "timeout")),
        },
    ),
    "ark": Wire(
        model="doubao-seedance-2-0",
        accepted={"id": "cgt-1"},
        waits=ark("running"),
        made=ark("succeeded", content={"video_url": LINK}),
        failed=ark("failed", error=None),
        absent=(404, ark_no("ResourceNotFound")),
        empty=ark("succeeded"),
        cancels="DELETE cgt-1",
        refusals={
            "auth": (401, ark_no("AuthenticationError")),
            "funds": (403, ark_no("AccountOverdueError")),
            "rate": (429, ark_no("RateLimitExceeded.EndpointRPMExceeded")),
            "invalid": (400, ark_no("InvalidParameter", "duration is not valid")),
            "moderated": (400, ark_no("InputImageSensitiveContentDetected.PrivacyInformation", "a real person")),
            "fault": (500, ark_no("InternalServiceError")),
        },
    ),
    "qwen": Wire(
        model="wan2.6",
        accepted=wan("PENDING"),
        waits=wan("RUNNING"),
        made=wan("SUCCEEDED", {"duration": 5, "output_video_duration": 5, "video_count": 1}, video_url=LINK),
        failed=wan("FAILED", code="InternalError", message="it broke"),
        absent=(200, wan("UNKNOWN")),
        empty=wan("SUCCEEDED"),
        cancels="POST cancel",
        refusals={
            "auth": (401, wan_no("InvalidApiKey", "Invalid API-key provided.")),
            "funds": (400, wan_no("Arrearage", "Access denied, please make sure your account is in good standing.")),
            "rate": (429, wan_no("Throttling.RateQuota", "Requests rate limit exceeded")),
            "invalid": (400, wan_no("InvalidParameter", "size is not supported")),
            "moderated": (400, wan_no("DataInspectionFailed", "Input data may contain inappropriate content.")),
            "fault": (500, wan_no("InternalError", "it broke")),
        },
    ),
    "gemini": Wire(
        model="Veo3.1-quality-official",
        accepted={"name": VEO},
        waits={"name": VEO},
        made={
            "name": VEO,
            "done": True,
            "response": {
                "generateVideoResponse": {
                    "generatedSamples": [{"video": {"uri": f"{SITE}/gemini/v1beta/files/f1:download?alt=media"}}]
                }
            },
        },
        failed={"name": VEO, "done": True, "error": {"code": 13, "message": "it broke", "details": []}},
        absent=(404, google_no(404, "NOT_FOUND", "no such operation")),
        empty={
            "name": VEO,
            "done": True,
            "response": {"generateVideoResponse": {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["unsafe"]}},
        },
        keeps=True,
        refusals={
            "auth": (400, google_no(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.")),
            "funds": (400, google_no(400, "FAILED_PRECONDITION", "Please enable billing on your project.")),
            "rate": (429, google_no(429, "RESOURCE_EXHAUSTED", "slow down")),
            "invalid": (400, google_no(400, "INVALID_ARGUMENT", "aspectRatio is not supported")),
            "moderated": (400, google_no(400, "INVALID_ARGUMENT", "words that violate usage guidelines")),
            "fault": (503, google_no(503, "UNAVAILABLE", "The model is overloaded.")),
        },
    ),
    "vidu": Wire(
        model="vidu-q3-pro",
        accepted={"task_id": "5", "state": "created", "model": "viduq3-pro"},
        waits=vidu("processing"),
        made=vidu("success", creations=[{"id": "c", "url": LINK}]),
        failed=vidu("failed", "InternalServiceFailure"),
        absent=vidu_no(404, "TaskNotFound"),
        empty=vidu("success"),
        cancels="POST cancel",
        refusals={
            "auth": vidu_no(401, "Unauthorized"),
            "funds": vidu_no(400, "CreditInsufficient"),
            "rate": vidu_no(429, "QuotaExceeded"),
            "invalid": vidu_no(400, "FieldInvalid"),
            "moderated": vidu_no(400, "TaskPromptPolicyViolation"),
            "fault": vidu_no(500, "InternalServiceFailure"),
        },
    ),
    "xai": Wire(
        model="grok-video-3",
        accepted={"request_id": "x1"},
        waits={"status": "pending", "progress": 1},
        made={"status": "done", "video": {"url": LINK, "duration": 5, "respect_moderation": True}, "progress": 100},
        failed={"status": "failed", "progress": 0, "error": {"code": "internal_error", "message": "it broke"}},
        absent=(404, xai_no("not_found", "no such request")),
        empty={"status": "done", "video": {"url": "", "respect_moderation": False}},
        keeps=True,
        refusals={
            "auth": (400, xai_no("invalid-argument", "Incorrect API key provided: xx.")),
            "funds": (403, xai_no("permission-denied", "Your team has used all its credits.")),
            "rate": (429, xai_no("resource-exhausted", "too many requests")),
            "invalid": (400, xai_no("invalid-argument", "duration is out of bounds")),
            "moderated": (400, xai_no("invalid-argument", "the prompt was flagged")),
            "fault": (500, {"error": "it broke"}),
        },
    ),
    "openai": Wire(
        model="grok-video-3",
        accepted=sora("queued"),
        waits=sora("in_progress"),
        made=sora("completed"),
        failed=sora("failed", error={"code": "internal_error", "message": "it broke"}),
        absent=(404, {"error": {"message": "Video not found", "type": "invalid_request_error", "code": None}}),
        keeps=True,
        cancels="DELETE video_1",
        refusals={
            "auth": (
                401,
                {"error": {"message": "Incorrect API key", "type": "invalid_request_error", "code": "invalid_api_key"}},
            ),
            "funds": (429, {"error": {"message": "quota", "type": "insufficient_quota", "code": "insufficient_quota"}}),
            "rate": (429, {"error": {"message": "slow", "type": "requests", "code": "rate_limit_exceeded"}}),
            "invalid": (
                400,
                {"error": {"message": "bad size", "type": "invalid_request_error", "code": "invalid_value"}},
            ),
            "moderated": (400, {"error": {"message": "blocked", "type": "image", "code": "moderation_blocked"}}),
            "fault": (500, {"error": {"message": "oops", "type": "server_error", "code": None}}),
        },
    ),
    "vertex": Wire(
        model="Veo3.1-quality-official",
        accepted={"name": VERTEX},
        waits={"name": VERTEX},
        made={
            "name": VERTEX,
            "done": True,
            "response": {"videos": [{"bytesBase64Encoded": b64encode(MP4).decode(), "mimeType": "video/mp4"}]},
        },
        failed={"name": VERTEX, "done": True, "error": {"code": 13, "message": "it broke"}},
        absent=(404, google_no(404, "NOT_FOUND", "no such operation")),
        empty={"name": VERTEX, "done": True, "response": {"raiMediaFilteredCount": 1}},
        keeps=True,
        refusals={
            "auth": (401, google_no(401, "UNAUTHENTICATED", "no token")),
            "funds": (403, google_no(403, "PERMISSION_DENIED", "billing is disabled")),
            "rate": (429, google_no(429, "RESOURCE_EXHAUSTED", "slow down")),
            "invalid": (400, google_no(400, "INVALID_ARGUMENT", "aspectRatio is not supported")),
            "moderated": (400, google_no(400, "INVALID_ARGUMENT", "words that violate usage guidelines")),
            "fault": (503, google_no(503, "UNAVAILABLE", "overloaded")),
        },
    ),
    "fal": Wire(
        model="kling-v3",
        accepted=fal_job("IN_QUEUE", queue_position=1),
        waits=fal_job("IN_PROGRESS"),
        made=fal_job("COMPLETED"),
        failed=fal_job("COMPLETED", error="it broke", error_type="internal_server_error"),
        absent=(404, {"detail": "Request not found"}),
        cancels="PUT cancel",
        refusals={
            "auth": (401, {"detail": "No user found for Key ID and Secret"}),
            "funds": (403, {"detail": "User is locked. Reason: Exhausted balance."}),
            "rate": (429, {"detail": "Too many requests"}),
            "invalid": (422, {"detail": [{"loc": ["body", "prompt"], "msg": "field required", "type": "missing"}]}),
            "moderated": (422, {"detail": [{"loc": ["body"], "msg": "flagged", "type": "content_policy_violation"}]}),
            "fault": (500, {"detail": "Internal Server Error"}),
        },
    ),
    "replicate": Wire(
        model="MiniMax-Hailuo-02",
        accepted=replicate("starting"),
        waits=replicate("processing"),
        made=replicate("succeeded", LINK),
        failed=replicate("failed", error="CUDA out of memory"),
        absent=(404, {"detail": "not found", "status": 404, "title": "Not found"}),
        empty=replicate("succeeded"),
        keeps=True,
        cancels="POST cancel",
        refusals={
            "auth": (401, {"title": "Unauthenticated", "detail": "no token", "status": 401}),
            "funds": (402, {"title": "Insufficient credit", "detail": "add credit", "status": 402}),
            "rate": (429, {"title": "Throttled", "detail": "Request was throttled.", "status": 429}),
            "invalid": (422, {"title": "Input validation failed", "detail": "- input.prompt: required", "status": 422}),
            "moderated": (400, {"title": "Bad request", "detail": "flagged", "status": 400}),
            "fault": (500, {"title": "Oops", "detail": "it broke", "status": 500}),
        },
    ),
}
WIRES["byteplus"] = WIRES["ark"]
FETCHED = {  # by the last part of a path: what is behind it
    "retrieve": {"file": {"file_id": 205258526306433, "download_url": LINK}, "base_resp": {"status_code": 0}},
    "r1": {"video": {"url": LINK, "content_type": "video/mp4"}},
}


def said(body: Any, status: int = 200, **headers: str) -> MemoryReply:
    """A reply in JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return MemoryReply(status, {"content-type": "application/json", **headers}, [raw])


@dataclass
class World:
    """All vendors. What is scripted for one comes first, then all goes well."""

    submits: dict[str, list[Script]] = field(default_factory=lambda: defaultdict(list))
    polls: dict[str, list[Script]] = field(default_factory=lambda: defaultdict(list))
    files: list[Script] = field(default_factory=list)  # downloads
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)  # (vendor, what) -> how often
    requests: list[tuple[str, str, Request]] = field(default_factory=list)

    def answer(self, request: Request) -> Any:
        vendor, what = told(request)
        self.seen[vendor, what] += 1
        self.requests.append((vendor, what, request))
        script = {"submit": self.submits[vendor], "poll": self.polls[vendor], "file": self.files}.get(what, [])
        if script:
            made = script.pop(0)
            return made if isinstance(made, MemoryReply) else made(request)
        if what == "file":
            return MemoryReply(200, {"content-type": "video/mp4"}, [MP4])
        if what in FETCHED:
            return said(FETCHED[what])
        if what == "cancel":
            return said({})
        return said(WIRES[vendor].accepted if what == "submit" else WIRES[vendor].made)

    def sent(self, vendor: str, what: str = "submit") -> Request:
        """The last request of a kind."""
        return next(request for name, kind, request in reversed(self.requests) if (name, kind) == (vendor, what))


def told(request: Request) -> tuple[str, str]:
    """Which vendor a request goes to, and what for."""
    path = request.url.partition("?")[0]
    last = path.rpartition("/")[2]
    if request.url.startswith("https://cdn.test/") or last == "content" or last.endswith(":download"):
        return path.split("/")[3], "file"
    vendor = path.split("/")[3]
    if request.method in ("DELETE", "PUT") or last == "cancel":
        return vendor, "cancel"
    if last in FETCHED:
        return vendor, last
    if request.method == "GET" or last.endswith(":fetchPredictOperation"):
        return vendor, "poll"
    return vendor, "submit"
