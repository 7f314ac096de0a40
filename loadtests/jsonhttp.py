"""JSON over HTTP for everything but the load itself: control API of the fleet, provisioning and usage of the gateway.

Blocking and small on purpose: it must work alike in a plain process and under gevent.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from loadtests.errors import Unreachable

TIMEOUT_S = 30.0
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Refused(Unreachable):
    """The other side answered with a status that is not 2xx."""

    def __init__(self, method: str, url: str, status: int, body: str) -> None:
        super().__init__(f"{method} {url} answered {status}, 2xx was due: {body[:300]}")
        self.status = status


def call(
    method: str,
    url: str,
    *,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, object] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Any:
    """The JSON a route answers. Raises Refused on any status but 2xx, Unreachable when nothing answers."""
    if query:
        url = f"{url}?{urlencode({k: v for k, v in query.items() if v is not None})}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=dict(headers or {}))
    request.add_header("Accept", "application/json")
    if data is not None:
        request.add_header("Content-Type", "application/json")
    try:
        with NO_PROXY.open(request, timeout=timeout_s) as response:
            raw = response.read()
    except urllib.error.HTTPError as error:
        with error:
            raise Refused(method, url, error.code, error.read().decode(errors="replace")) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)  # urllib wraps the socket's own error
        raise Unreachable(f"{method} {url}: {getattr(reason, 'strerror', None) or reason}") from None
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        raise Unreachable(f"{method} {url} answered {raw[:80]!r}, JSON was due") from None
