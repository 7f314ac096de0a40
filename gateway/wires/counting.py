"""What the token counting of Messages and Responses has in common: a request in, one number out, never a stream."""

from __future__ import annotations

import orjson

from gateway.chain import Failure
from gateway.upstreams.problems import broken, told_failure
from gateway.upstreams.reading import Told, Whole, count


class Counting:
    """Comes before the wire that is counted, where the upstream tells `input_tokens`."""

    translatable = False

    def read_whole(self, body: bytes) -> Whole | Failure:
        """The number as it came, or what is wrong with it."""
        try:
            answer = orjson.loads(body)
        except ValueError:
            return broken("the upstream's reply is not JSON")
        if not isinstance(answer, dict) or count(answer.get("input_tokens")) is None:
            return told_failure(answer, body)
        return Whole(body, Told(), 0)

    def assemble(self, _stream: bytes) -> Whole | Failure:
        """A number is not streamed."""
        return broken("the upstream sent a stream instead of a number")
