"""Which handler answers at which path of the GPU surface: /gpu, /deployments and /webhooks, under /v1 and /api/v1."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from gateway.endpoints import deployments, gpu, gpu_jobs, gpu_webhooks
from gateway.exchange import Exchange
from gateway.services import Services

Handler = Callable[[Services, Exchange], Awaitable[None]]

PREFIXES: Final = ("/api/v1/", "/v1/")
FIRST: Final = ("gpu", "deployments", "webhooks")
TABLE: Final[
    Mapping[tuple[str, ...], Mapping[str, Handler]]
] = {  # "" stands for any segment; what is named comes first
    ("gpu",): {"GET": gpu.catalogue},
    ("gpu", "jobs"): {"GET": gpu_jobs.listed},
    ("gpu", "jobs", ""): {"GET": gpu_jobs.show},
    ("gpu", "jobs", "", "cancel"): {"POST": gpu_jobs.cancel},
    ("gpu", "run", ""): {"POST": gpu.run_deployment},
    ("gpu", "callbacks", "", ""): {"POST": gpu_jobs.callback},
    ("gpu", ""): {"GET": gpu.show_model, "POST": gpu.run_model},
    ("deployments",): {"GET": deployments.listed, "POST": deployments.create},
    ("deployments", ""): {"GET": deployments.show, "PATCH": deployments.change, "DELETE": deployments.drop},
    ("webhooks", "secret"): {"GET": gpu_webhooks.show_secret, "POST": gpu_webhooks.rotate_secret},
    ("webhooks", "deliveries"): {"GET": gpu_webhooks.deliveries},
}


def find(path: str) -> Mapping[str, Handler] | None:
    """The methods of a path; None where it is none of these."""
    rest = next((path[len(prefix) :] for prefix in PREFIXES if path.startswith(prefix)), None)
    if rest is None:
        return None
    parts = tuple(rest.rstrip("/").split("/"))
    if parts[0] not in FIRST or "" in parts:
        return None
    for pattern, methods in TABLE.items():
        if len(pattern) == len(parts) and all(word in ("", part) for word, part in zip(pattern, parts, strict=True)):
            return methods
    return None


def patterns() -> dict[str, Mapping[str, Handler]]:
    """Every path, with `{id}` for any segment, and its methods."""
    return {
        prefix + "/".join(word or "{id}" for word in pattern): methods
        for prefix in PREFIXES
        for pattern, methods in TABLE.items()
    }
