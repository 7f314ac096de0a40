"""The official Anthropic SDK's message threads: the conversation stays with the fleet, a request brings what is new."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import anthropic
import pytest
from anthropic import beta_tool

from simulator import providers
from simulator.dialects import DIALECTS
from tests.clients.conftest import Seen
from tests.simulator.live import Live, running

MODEL = "claude-sonnet-4-5"
ROWS = {
    "providers": [
        {"name": "anthropic", "dialect": "anthropic_messages", "region": "us-east", "facts": {"vendors": ["anthropic"]}},
        {
            "name": "anthropic-without",
            "dialect": "anthropic_messages",
            "region": "us-east",
            "facts": {"vendors": ["anthropic"], "thread_unsupported": ["thinking", "hipaa"]},
        },
    ]
}


@pytest.fixture(scope="module")
def fleet() -> Iterator[Live]:
    """One provider that keeps threads and one that does not."""
    assert providers.read(ROWS, DIALECTS, 7)
    with running(rows=ROWS) as live:
        yield live


def client_of(fleet: Live, provider: str = "anthropic") -> anthropic.Anthropic:
    host, port = fleet.address
    key = f"sk-ant-fleet-{provider}"
    return anthropic.Anthropic(api_key=key, base_url=f"http://{host}:{port}/{provider}", max_retries=0)


@beta_tool
def get_weather(city: str) -> str:
    """Current weather of a city.

    Args:
        city: its name
    """
    return f"{city}: 21 degrees"


def bodies(seen: Callable[[], Seen]) -> list[int | None]:
    return seen().statuses


def test_the_tool_runner_goes_on_in_its_thread(
    fleet: Live, told: Callable[[str], str], seen: Callable[[], Seen]
) -> None:
    """The second request brings the tool's result alone, and the reply is that to the whole conversation."""
    with client_of(fleet) as client:
        asked = {
            "model": MODEL,
            "max_tokens": 512,
            "tools": [get_weather],
            "messages": [{"role": "user", "content": told("answer: tool_call")}],
        }
        runner = client.beta.messages.tool_runner(**asked)
        final = runner.until_done()
        assert final.stop_reason == "end_turn"
        assert seen().statuses == [200, 200]
        sizes = [len(entry) for entry in seen().header("content-length")]
        assert sizes
        whole = client.beta.messages.tool_runner(**asked, thread=False).until_done()
    assert [block.to_dict() for block in final.content] == [block.to_dict() for block in whole.content]
    assert final.usage.input_tokens == whole.usage.input_tokens
