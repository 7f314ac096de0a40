"""The Node SDKs of OpenAI, Anthropic and Google do chat, streaming, tools and pictures through the gateway.

Skipped, saying so, where Node or the packages are missing.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.clis import CACHE
from tests.clients.test_clis import Stack, stack  # noqa: F401

SCRIPT = Path(__file__).parent / "node" / "sdks.mjs"
PACKAGES = {"openai": "openai", "anthropic": "@anthropic-ai/sdk", "google": "@google/genai"}
TIMEOUT_S = 60


@pytest.mark.parametrize("sdk", PACKAGES)
def test_a_node_sdk_does_all_of_it(sdk: str, stack: Stack) -> None:  # noqa: F811
    """Sent: chat, a stream, a tool loop, a picture. Observed: what the SDK made of the answers."""
    node = shutil.which("node")
    if node is None or not (CACHE / "node_modules" / PACKAGES[sdk]).is_dir():
        pytest.skip(f"{PACKAGES[sdk]} is not on this machine; `make clis` installs it")
    command = [node, str(SCRIPT), sdk, stack.base_url, stack.user()["key"]]
    done = subprocess.run(command, cwd=CACHE, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["chat"]
    assert told["streamed"]
    assert told["looked"]
    assert told["tool"] == "weather"
    assert isinstance(told["arguments"]["city"], str)
    assert told["after"]
    if sdk == "openai":
        assert told["responses"]
        assert told["images"] == 2
