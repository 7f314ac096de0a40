"""Attempts that are made too often, too seldom, at the wrong target, or with the wrong outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as changed
from typing import Any

import orjson

from gateway import attempts, chain, splice
from gateway.attempts import Call
from gateway.chain import Failure, Policy, Run, Step, Verdict
from gateway.config import Config
from gateway.errors import AllUpstreamsFailed, GatewayError, Unauthenticated
from gateway.relay import Progress, StreamAnswer
from gateway.upstreams import problems
from gateway.upstreams.reading import Part, Told, Whole
from gateway.upstreams.transport import Reply, Request
from mutants._patch import READERS, WIRES, around, replace
from mutants.registry import mutant

ACCOUNT = (401, 402, 403)  # what an upstream says of the gateway's own key or money


def edit_attempts(edit: Callable[[StreamAnswer, Any], Any]) -> None:
    """What came of every attempt at a stream (a Failure, or WHOLE) is what the awaited `edit(answer, outcome)` says."""

    @around(StreamAnswer, "attempt")
    async def attempt(old: Any, self: StreamAnswer, step: Step) -> Failure | Progress:
        outcome: Failure | Progress = await edit(self, await old(self, step))
        return outcome


def edit_verdicts(edit: Callable[[int, Verdict], Verdict]) -> None:
    """An upstream's HTTP error means what `edit(status, verdict)` says."""

    @around(problems, "verdict_of")
    def verdict_of(old: Any, status: int, code: str, message: str) -> Verdict:
        return edit(status, old(status, code, message))


def edit_requests(edit: Callable[[Request], Request]) -> None:
    """Every request to an upstream but the first of a call is what `edit` makes of it."""

    @around(Call, "request")
    def request(old: Any, self: Call, upstream: Any) -> Request:
        made: Request = old(self, upstream)
        return edit(made) if self.run.attempts > 1 else made


def edit_errors(edit: Callable[[Failure, GatewayError], GatewayError]) -> None:
    """The error that a caller sees of failed attempts is what `edit(last failure, error)` says."""

    @around(attempts, "failed")
    def failed(old: Any, model: str, failure: Failure | None, secrets: Any) -> GatewayError:
        error: GatewayError = old(model, failure, secrets)
        return error if failure is None else edit(failure, error)


def stop_chain(stops: Callable[[Call, Failure], bool]) -> None:
    """After some failures nothing more is tried."""

    @around(Call, "after")
    def after(old: Any, self: Call, failure: Failure) -> Step | None:
        step: Step | None = old(self, failure)
        return None if stops(self, failure) else step


@mutant("GD-065")
def fallback_not_triggered_on_5xx() -> None:
    """A 5xx of an upstream ends the call."""
    stop_chain(lambda _call, failure: (failure.status or 0) >= 500)


@mutant("GD-078")
def stream_has_no_retry_at_all() -> None:
    """A stream is tried once."""
    stop_chain(lambda call, _failure: call.wanted.stream)


@mutant()
def connection_errors_not_retried() -> None:
    """A connection that fails ends the call."""
    stop_chain(lambda _call, failure: failure.status is None)


@mutant("GD-057")
def affinity_blocks_failover() -> None:
    """A request that asks for affinity is tried once."""
    stop_chain(lambda call, _failure: "prompt_cache_key" in call.fields or "metadata" in call.fields)


@mutant("GD-076")
def retry_picks_same_upstream() -> None:
    """Where the next target is due, the first one is tried again."""

    @around(Run, "_step_from")
    def step_from(old: Any, self: Run, position: int) -> Step | None:
        step: Step | None = old(self, position and 0) if self._number < 4 else None
        return step


@mutant("GD-063")
def double_retry_layers() -> None:
    """Every attempt that fails is made again by the client below, unseen by the chain."""

    @around(Call, "open")
    async def open_(old: Any, self: Call, step: Step) -> Reply | Failure:
        reply: Reply | Failure = await old(self, step)
        if isinstance(reply, Failure) and reply.verdict is Verdict.RETRY:
            self.close()
            reply = await old(self, step)
        return reply


@mutant()
def no_retry_on_same_target() -> None:
    """The first failure of a target is its last."""
    replace(chain, "may_retry", lambda *_args: False)


@mutant("GD-064")
def fallback_cycle_never_ends() -> None:
    """After the last target comes the first again, a few times over."""

    @around(Run, "_step_from")
    def step_from(old: Any, self: Run, position: int) -> Step | None:
        again = position >= len(self._targets) and self._number < 12
        step: Step | None = old(self, 0 if again else position)
        return step


@mutant("GD-083")
def usage_limit_429_never_fails_over() -> None:
    """A target that answers 429 is tried again, and no other."""

    @around(Run, "_step_from")
    def step_from(old: Any, self: Run, position: int) -> Step | None:
        step: Step | None = None if self.last is not None and self.last.status == 429 else old(self, position)
        return step


@mutant("GD-152")
def network_lost_returned_as_200() -> None:
    """A connection that breaks is answered with status 200 and a body that tells of it."""

    @around(Call, "whole")
    async def whole(old: Any, self: Call, step: Step) -> Whole | Failure:
        answer: Whole | Failure = await old(self, step)
        if isinstance(answer, Failure) and answer.status is None:
            return Whole(orjson.dumps({"error": {"type": "api_error", "message": answer.message}}), Told(0, 0), 0)
        return answer


@mutant()
def first_byte_timeout_missing() -> None:
    """An upstream that says nothing is waited for."""

    @around(Config, "__init__")
    def init(old: Any, self: Config, *args: Any, **kwargs: Any) -> None:
        old(self, *args, **{**kwargs, "first_byte_timeout_s": 86_400.0})


def pass_on(is_passed: Callable[[bytes], bool]) -> None:
    """Some bodies that are no answer are passed on as answers."""
    for wire in WIRES:

        @around(wire, "read_whole")
        def read_whole(old: Any, self: Any, body: bytes) -> Whole | Failure:
            answer: Whole | Failure = old(self, body)
            return Whole(body, Told(), 0) if isinstance(answer, Failure) and is_passed(body) else answer


@mutant()
def broken_body_passed_on() -> None:
    """A reply that is cut JSON is passed on."""
    pass_on(lambda body: body.lstrip().startswith(b"{") and not body.rstrip().endswith(b"}"))


@mutant()
def html_body_passed_on() -> None:
    """A web page under status 200 is passed on."""
    pass_on(lambda body: body.lstrip().startswith(b"<"))


@mutant("GD-090")
def empty_stream_passed_on() -> None:
    """A stream that ends without a word is taken for an answer."""

    @around(StreamAnswer, "at_end")
    async def at_end(old: Any, self: StreamAnswer, events: Any, reader: Any) -> Failure | Progress:
        outcome: Failure | Progress = await old(self, events, reader)
        if self.committed or self._held:
            return outcome
        await self.send(b"")
        return Progress.WHOLE


@mutant("GD-068", "GD-074")
def inband_error_before_content_not_failed_over() -> None:
    """An error under status 200 is taken for the answer of a stream."""

    async def commit(answer: StreamAnswer, outcome: Any) -> Any:
        answer.committed = answer.committed or (isinstance(outcome, Failure) and outcome.status == 200)
        return outcome

    edit_attempts(commit)


@mutant("GD-069")
def lazy_stream_skips_fallback() -> None:
    """A stream is begun before its upstream has answered: a failure is told inside it."""

    async def commit(answer: StreamAnswer, outcome: Any) -> Any:
        if isinstance(outcome, Failure):
            answer.committed = True
            await answer.write(b"")
        return outcome

    edit_attempts(commit)


@mutant("GD-079", "GD-080")
def stream_replay_after_first_byte() -> None:
    """A stream that breaks off is asked for again, and the second answer appended to the first."""

    async def uncommit(answer: StreamAnswer, outcome: Any) -> Any:
        answer.committed = answer.committed and not isinstance(outcome, Failure)
        return outcome

    edit_attempts(uncommit)


@mutant("GD-072")
def preamble_commits_failover_lost() -> None:
    """What comes before the first content is sent at once, and commits the stream."""
    for wire in WIRES:

        @around(READERS[wire], "read")
        def read(old: Any, self: Any, event: Any) -> Part:
            part: Part = old(self, event)
            return Part.CONTENT if part is Part.PREAMBLE else part


@mutant("GD-070")
def ping_marks_stream_started() -> None:
    """After a keepalive no other target is tried."""

    @around(StreamAnswer, "keepalive")
    async def keepalive(old: Any, self: StreamAnswer) -> None:
        await old(self)
        self.committed = True


@mutant("GD-059", "GD-071")
def client_errors_retried() -> None:
    """A request that an upstream refuses as wrong is tried again, and at every target."""
    replace(chain, "may_fail_over", lambda _failure: True)

    @around(chain, "may_retry")
    def may_retry(old: Any, policy: Policy, failure: Failure, tries: int) -> bool:
        return bool(old(policy, changed(failure, verdict=Verdict.RETRY), tries))


@mutant("GD-154")
def upstream_400_flattened_to_502() -> None:
    """What an upstream refuses as the caller's fault is told as its own."""
    edit_errors(lambda _failure, error: AllUpstreamsFailed(error.message))


@mutant("GD-156")
def upstream_message_lost() -> None:
    """What the upstream said is not passed on."""
    edit_errors(lambda _failure, error: type(error)("The upstream reported an error."))


@mutant("GD-058")
def auth_error_at_upstream_stops_chain() -> None:
    """An upstream that refuses the gateway's key ends the call."""
    stop_chain(lambda _call, failure: failure.status in (401, 403))


@mutant("GD-082")
def upstream_402_not_failed_over() -> None:
    """An upstream at which the gateway has no money left ends the call, as if the request were wrong."""
    edit_verdicts(lambda status, verdict: Verdict.STOP if status == 402 else verdict)


@mutant()
def dead_credential_retried() -> None:
    """An upstream that refuses the gateway's key or money is asked again."""
    edit_verdicts(lambda status, verdict: Verdict.RETRY if status in ACCOUNT else verdict)


@mutant()
def upstream_401_passed_to_client() -> None:
    """That the upstreams refuse the gateway's key is told as if the caller's were wrong."""
    edit_errors(lambda failure, error: Unauthenticated(error.message) if failure.status in ACCOUNT else error)


@mutant("GD-073")
def quota_exhausted_429_retried() -> None:
    """A 429 that says the quota is spent is taken for one that passes."""
    edit_verdicts(lambda status, verdict: Verdict.RETRY if status == 429 else verdict)


@mutant("GD-151")
def first_error_reported_not_last() -> None:
    """When all targets failed, the first one's message is told."""

    @around(Call, "after")
    def after(old: Any, self: Call, failure: Failure) -> Step | None:
        first = self.failure
        step: Step | None = old(self, failure)
        self.failure = first or failure
        return step


@mutant()
def all_failed_is_500() -> None:
    """When all targets failed, the gateway takes the blame."""
    replace(AllUpstreamsFailed, "type", "internal_error")


@mutant("GD-075")
def retry_body_already_consumed() -> None:
    """From the second attempt on, the request has no body."""
    edit_requests(lambda request: changed(request, body=b""))


@mutant("GD-062")
def cross_provider_fields_break_fallback() -> None:
    """From the second attempt on, the request has a member that the caller did not write."""
    edit_requests(lambda request: changed(request, body=splice.set_member(request.body, "fallback", b"true")))


@mutant()
def beta_header_lost_on_failover() -> None:
    """From the second attempt on, anthropic-beta is missing."""

    def without(request: Request) -> Request:
        return changed(request, headers=[pair for pair in request.headers if pair[0] != "anthropic-beta"])

    edit_requests(without)


@mutant("GD-066")
def headers_leak_across_attempts() -> None:
    """Headers of failed attempts stay in the final response."""

    @around(Call, "open")
    async def open_(old: Any, self: Call, step: Step) -> Reply | Failure:
        reply: Reply | Failure = await old(self, step)
        if isinstance(reply, Failure) and self.reply is not None:
            kept = {name: value for name, value in self.reply.headers.items() if name.startswith(("x-", "request-id"))}
            self.exchange.extra_headers += [(name.encode(), value.encode()) for name, value in kept.items()]
        return reply


@mutant()
def retry_without_backoff() -> None:
    """A target is tried again at once, unless it says when to come back."""
    replace(chain, "backoff_s", lambda *_args: 0.0)


@mutant()
def retry_after_ignored() -> None:
    """What an upstream says of when to come back is not heeded."""
    replace(chain, "wait_s", lambda policy, _failure, number, draw: chain.backoff_s(policy, number, draw))


@mutant()
def retry_after_waited_out() -> None:
    """An upstream that says to come back in half a minute is waited for."""

    @around(chain, "may_retry")
    def may_retry(old: Any, policy: Policy, failure: Failure, tries: int) -> bool:
        return bool(old(changed(policy, retry_after_max_s=3600.0), failure, tries))
