"""What POST /responses refuses, and how."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import catalogue
from schemas.catalogue import Model
from tests.gateway.lab import CREDIT, error, open_lab, run
from tests.gateway.responses_lab import RESPONSES, respond

ELSEWHERE = [m for m in catalogue.MODELS.values() if "responses" not in m.endpoints]


def name_of(model: Model) -> str:
    return model.id


@pytest.mark.parametrize("model", ELSEWHERE, ids=name_of)
def test_a_model_of_another_endpoint_is_told_so(model: Model) -> None:
    async def scene() -> None:
        lab = await open_lab([])
        answer = await respond(lab, model=model.id)
        kind, said = answer.error
        assert (answer.status, kind) == (400, "invalid_request_error")
        assert "is not served on /v1/responses; use /v1/" in said

    run(scene())


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no input": ({"input": None}, "`input` is missing; a string or an array was due."),
    "input is a number": ({"input": 5}, "`input` is a number; a string or an array was due."),
    "no items": ({"input": []}, "`input` is empty; at least one item was due."),
    "an item is a text": ({"input": [{}, "x"]}, "`input[1]` is a string; an object was due."),
    "stream": ({"stream": "yes"}, "`stream` is a string; a boolean was due."),
    "store": ({"store": 1}, "`store` is a number; a boolean was due."),
    "limit": ({"max_output_tokens": 0}, "`max_output_tokens` is 0; 1 or more was due."),
    "limit is a text": ({"max_output_tokens": "9"}, "`max_output_tokens` is a string; an integer was due."),
    "stream_options": ({"stream_options": []}, "`stream_options` is an array; an object was due."),
    "previous": ({"previous_response_id": 5}, "`previous_response_id` is a number; a string was due."),
    "background": (
        {"background": True},
        "`background` is not served: a response is answered and charged while you wait.",
    ),
    "conversation": (
        {"conversation": "conv_1"},
        "`conversation` is not served; go on with `previous_response_id`.",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_the_gateway_itself_refuses(case: str) -> None:
    async def scene() -> None:
        fields, said = WRONG[case]
        lab = await open_lab([])
        answer = await respond(lab, **fields)
        assert (answer.status, answer.error) == (400, ("invalid_request_error", said))
        assert not lab.transport.requests

    run(scene())


@pytest.mark.parametrize("name", ["input", "max_output_tokens", "previous_response_id", "background", "store"])
def test_a_decisive_name_twice_is_refused(name: str) -> None:
    async def scene() -> None:
        lab = await open_lab([])
        answer = await lab.ask(
            RESPONSES, b'{"model":"gpt-5.5","input":"x","%b":null,"%b":null}' % ((name.encode(),) * 2)
        )
        assert answer.error == ("invalid_request_error", f"The request body has '{name}' twice.")

    run(scene())


def test_what_only_the_upstream_knows_comes_back_as_400() -> None:
    async def scene() -> None:
        lab = await open_lab([error(400, "Unknown parameter: 'stop' (see http://127.0.0.1:8101/openai/v1).")])
        answer = await respond(lab, stop="x")
        assert answer.status == 400
        assert answer.error[0] == "invalid_request_error"
        assert answer.error[1].startswith("Unknown parameter: 'stop'")
        assert "8101" not in answer.error[1]
        assert await lab.spent_uc() == 0

    run(scene())


def test_no_key_no_credit_no_tier() -> None:
    async def scene() -> None:
        lab = await open_lab([], credits=1)
        assert (await respond(lab, headers={})).status == 401
        assert (await respond(lab)).status == 402
        await lab.services.money.top_up(lab.user_id, 1000 * CREDIT)
        assert (await respond(lab, model="gpt-5-pro-official")).status == 403
        assert not lab.transport.requests

    run(scene())
