"""The few HTTP calls the command makes itself, with the standard library: JSON in, JSON out."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from typing import Any

from windtunnel.errors import HarnessProblem

TIMEOUT_S = 20.0


class Refused(HarnessProblem):
    """The server answered with an error status."""

    def __init__(self, message: str, status: int, said: str) -> None:
        super().__init__(message)
        self.status = status
        self.said = said  # the message of its error body, or the start of whatever came


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # local servers: no proxy in between


def call(method: str, url: str, body: Any = None, token: str | None = None) -> Any:
    """The JSON answer to one call. Raises Refused for an error status, else HarnessProblem."""
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    try:
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        with _opener.open(request, timeout=TIMEOUT_S) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        said = _message(error.read(2000).decode(errors="replace"))
        raise Refused(f"{method} {url} answered {error.code}: {said}", error.code, said) from error
    except (OSError, ValueError) as error:
        raise HarnessProblem(f"{method} {url}: {getattr(error, 'reason', error)}") from error


def _message(body: str) -> str:
    """The message of an error body as the gateway writes them, else the start of the body."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return str(json.loads(body)["error"]["message"])
    return body[:300]
