"""A case: one check at work. It owns a user, a token that rides in its prompts, and the evidence of three lanes.

reply = await case.chat("Say hi.", stream=True, fault="stall after_frames=3", answer="tokens=20", max_tokens=50)
entries = await case.reached("stall", reply)     # the fault was met: the verdict is about what it claims to be
books = await case.books()
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import orjson

from suites import oracle
from suites.edge import now_ms, sleep_ms
from suites.evidence import Evidence, pretty
from suites.exchange import PATIENCE_S, WIRES, OpenReply, Reply, Sent, send
from suites.fleet import Entry, Fleet
from suites.outcomes import HarnessError, NotApplicable, Untestable, Violation
from suites.provisioning import UC_PER_CREDIT, Admin, Books, Key, User
from suites.reply_schemas import Findings
from suites.rig import Rig
from suites.target import Elsewhere, Policies, Target

T = TypeVar("T")
FUNDED_CREDITS = 100_000
UNSOUND = ("missing_usage",)  # faults that take from the upstream's reply what its schema requires
SETTLING_MS = 6000  # how long books may take to close after the client's reply


class Case:
    """One check's view of the gateway."""

    def __init__(self, rig: Rig, check: str, number: int) -> None:
        self.rig = rig
        self.check = check
        self.token = f"{rig.run}-{number}"
        self.evidence = Evidence()
        self.findings = Findings()
        self._asked = 0
        self._turn = zlib.crc32(check.encode())
        self._user: User | None = None
        self._making = asyncio.Lock()
        self._begun: list[asyncio.Task[Any]] = []

    def moved_to(self, rig: Rig) -> Case:
        """The same case before another gateway: same evidence, tokens and user."""
        moved = Case(rig, self.check, 0)
        moved.token, moved.evidence, moved.findings = self.token, self.evidence, self.findings
        moved._asked, moved._turn, moved._user = self._asked, self._turn, self._user
        moved._begun = self._begun
        return moved

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Do something beside the rest of the check. What is still running when the check ends is cancelled."""
        task = asyncio.get_running_loop().create_task(work)
        self._begun.append(task)
        return task

    async def end(self) -> None:
        """Leave nothing running."""
        for task in self._begun:
            task.cancel()
        await asyncio.gather(*self._begun, return_exceptions=True)

    # -- what the target gives -----------------------------------------------------------------------------------

    @property
    def target(self) -> Target:
        return self.rig.target

    @property
    def policies(self) -> Policies:
        return self.rig.target.policies

    @property
    def fleet(self) -> Fleet:
        """The fleet. Raises Untestable without one."""
        if self.rig.fleet is None:
            raise Untestable("the target names no fleet")
        return self.rig.fleet

    @property
    def admin(self) -> Admin:
        """The provisioning hook. Raises Untestable without one."""
        if self.rig.admin is None:
            raise Untestable("the target gives no provisioning")
        return self.rig.admin

    def model(self, kind: str) -> str:
        """The next model of a list of the target file, a different first one for each check."""
        names = self.target.models.get(kind)
        if not names:
            raise NotApplicable(f"the target file lists no models.{kind}")
        self._turn += 1
        return names[self._turn % len(names)]

    def chain(self, endpoint: str) -> tuple[str, ...]:
        """The fleet's providers behind the models of an endpoint, first target first; at least two."""
        chain = self.target.upstreams.get(endpoint, ())
        if len(chain) < 2:
            raise Untestable(f"upstreams.{endpoint} of the target file names {len(chain)} targets; due two")
        return chain

    def elsewhere(self, endpoint: str) -> Elsewhere:
        """The next model of an endpoint that providers of another dialect serve, too."""
        if not self.target.translation:
            raise Untestable("the target file has no `translation`: who answers in which other dialect is not known")
        rows = self.target.translation.get(endpoint)
        if not rows:
            raise NotApplicable(f"the target file lists no translation.{endpoint}")
        self._turn += 1
        return rows[self._turn % len(rows)]

    # -- users ---------------------------------------------------------------------------------------------------

    @property
    def owner(self) -> User | None:
        """The case's own user, if it has one by now."""
        return self._user

    async def user(self) -> User:
        """The case's own user, funded."""
        async with self._making:
            if self._user is None:
                self._user = await self.new_user()
            return self._user

    async def new_user(
        self, credits: float = FUNDED_CREDITS, *, uc: int | None = None, limits: Mapping[str, int] | None = None
    ) -> User:
        """A further user with so much money."""
        amount_uc = round(credits * UC_PER_CREDIT) if uc is None else uc
        user = await self.admin.user(amount_uc, limits)
        self.evidence.note("ledger", f"user {user.id} with {amount_uc} uc", "" if limits is None else pretty(limits))
        return user

    async def use(self, **facts: Any) -> User:
        """Make a new user the case's own."""
        self._user = await self.new_user(**facts)
        return self._user

    async def secret(self, key: Key | User | str | None) -> str:
        """What to send as a key: a given one, else that of the case's own user."""
        if isinstance(key, User):
            return key.key.secret
        if isinstance(key, Key):
            return key.secret
        if key is not None:
            return key
        if self.rig.admin is None and self.target.key:
            return self.target.key
        return (await self.user()).key.secret

    # -- asking --------------------------------------------------------------------------------------------------

    def fresh(self) -> str:
        """A token for one more request of this case."""
        self._asked += 1
        return f"{self.token}.{self._asked}"

    def marks(self, token: str, *, fault: str | Iterable[str] | None = None, answer: str | None = None) -> str:
        """The directives to put into a prompt."""
        faults = [fault] if isinstance(fault, str) else list(fault or ())
        words = [f"[[case:{token}]]", *(f"[[fault: {one}]]" for one in faults)]
        return " ".join([*words, f"[[answer: {answer}]]"] if answer else words)

    async def document(self, endpoint: str, token: str, prompt: str, options: dict[str, Any]) -> dict[str, Any]:
        """The JSON to send: the smallest request of the wire, then the check's own fields. None takes a field away."""
        marks = self.marks(token, fault=options.pop("fault", None), answer=options.pop("answer", None))
        model = options.pop("model", None) or self.model(options.pop("models", endpoint))
        body: dict[str, Any] = WIRES[endpoint].body(model, f"{prompt} {marks}", options.pop("stream", False))
        return {name: value for name, value in (body | options).items() if value is not None}

    def encode(self, document: Any) -> bytes:
        """A document as this client writes JSON."""
        return orjson.dumps(document)

    def url(self, endpoint: str) -> str:
        """The documented address of an endpoint."""
        target = self.target
        return {
            "chat": f"{target.openai_url}/chat/completions",
            "messages": f"{target.anthropic_url}/v1/messages",
            "count_tokens": f"{target.anthropic_url}/v1/messages/count_tokens",
            "responses": f"{target.openai_url}/responses",
            "gemini": f"{target.openai_url}/gemini",
            "images": f"{target.openai_url}/images/generations",
            "videos": f"{target.openai_url}/video/generations",
            "audio": f"{target.openai_url}/audio/generations",
            "models": f"{target.openai_url}/models",
            "usage": target.usage_url or f"{target.api_url}/api-usage",
        }[endpoint]

    async def headers(self, endpoint: str, key: Key | User | str | None) -> dict[str, str]:
        """The headers that an SDK of the endpoint's wire sends."""
        secret = await self.secret(key)
        if endpoint in ("messages", "count_tokens"):
            auth = {"x-api-key": secret, "anthropic-version": "2023-06-01"}
        elif endpoint == "gemini":
            auth = {"x-goog-api-key": secret}
        else:
            auth = {"authorization": f"Bearer {secret}"}
        return {"content-type": "application/json", **auth} if secret else {"content-type": "application/json"}

    async def open(
        self,
        endpoint: str,
        prompt: str = "Say something.",
        *,
        key: Key | User | str | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        url: str | None = None,
        limit_s: float = PATIENCE_S,
        **options: Any,
    ) -> OpenReply:
        """Ask and return with the head of the reply.

        `options`: fault, answer, model, models (a list of the target file), stream; the rest goes into the body.
        """
        token = token or self.fresh()
        document = await self.document(endpoint, token, prompt, options)
        sent = Sent(
            "POST",
            url or self.url(endpoint),
            {**await self.headers(endpoint, key), **(headers or {})},
            orjson.dumps(document),
            endpoint,
            token,
            document,
        )
        return await send(self.rig.session, sent, self.evidence, limit_s)

    async def ask(
        self, endpoint: str, prompt: str = "Say something.", *, limit_s: float = PATIENCE_S, **options: Any
    ) -> Reply:
        """Ask and read the reply to its end."""
        async with await self.open(endpoint, prompt, limit_s=limit_s, **options) as opened:
            reply = await opened.rest(limit_s)
        if not any(fault in str(options.get("fault")) for fault in UNSOUND):
            self.findings.look_at(reply)
        return reply

    async def chat(self, prompt: str = "Say something.", **options: Any) -> Reply:
        """`ask` on Chat Completions."""
        return await self.ask("chat", prompt, **options)

    async def messages(self, prompt: str = "Say something.", **options: Any) -> Reply:
        """`ask` on Messages."""
        return await self.ask("messages", prompt, **options)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        wire: str = "",
        limit_s: float = PATIENCE_S,
    ) -> Reply:
        """Any request, without help: no key unless the headers bear one."""
        sent = Sent(method, url, dict(headers or {}), body, wire)
        async with await send(self.rig.session, sent, self.evidence, limit_s) as opened:
            reply = await opened.rest(limit_s)
        self.findings.look_at(reply)
        return reply

    async def get(self, endpoint: str, *, key: Key | User | str | None = None, query: str = "") -> Reply:
        """GET one of the gateway's own addresses."""
        headers = {"authorization": f"Bearer {await self.secret(key)}"}
        return await self.request("GET", self.url(endpoint) + query, headers=headers)

    # -- what the upstream saw -------------------------------------------------------------------------------------

    async def upstream(self, of: Reply | str | None = None, wait_ms: int = 5000) -> list[Entry]:
        """What the fleet's journal tells of a reply, a token, or the whole case; nothing in it is pending."""
        token = of.token if isinstance(of, Reply) else of or f"{self.token}.*"
        entries = await self.fleet.journal(token, wait_ms)
        for entry in entries:
            self.evidence.note("upstream", str(entry), entry.row["body"])
        return entries

    async def reached(self, fault: str, of: Reply | str | None = None, wait_ms: int = 5000) -> list[Entry]:
        """The entries, once it is shown that the fault was met: what bears a verdict is bound to its reason."""
        entries = await self.upstream(of, wait_ms)
        if not entries:
            raise Violation(f"the gateway called no upstream, so the scripted {fault} was never met")
        if not any(fault in entry.faults for entry in entries):
            raise HarnessError(f"the fleet never applied {fault}: " + "; ".join(map(str, entries)))
        return entries

    async def one_upstream_call(self, of: Reply | str) -> Entry:
        """The only entry of a reply. Raises Violation when there are none or several."""
        entries = await self.upstream(of)
        if len(entries) != 1:
            raise Violation(
                f"{len(entries)} upstream calls for one request; one was due: " + "; ".join(map(str, entries))
            )
        return entries[0]

    async def nothing_upstream(self, of: Reply | str | None = None) -> None:
        """Raises Violation when the fleet got anything of a reply, a token, or the whole case."""
        entries = await self.upstream(of, wait_ms=0)
        if entries:
            raise Violation("a refused request reached an upstream: " + "; ".join(map(str, entries)))

    @asynccontextmanager
    async def scripted(self, fault: Mapping[str, Any], token: str, **when: Any) -> AsyncIterator[None]:
        """A fault that is not in the prompt: two requests, the same to the byte, may then meet another fate."""
        rule = {"name": token, "when": {"case": token, **when}, "fault": dict(fault)}
        rules = await self.fleet.add_faults([rule])
        self.evidence.note("upstream", "a fault is scripted", pretty(rule))
        try:
            yield
        finally:
            for identity in rules:
                await self.fleet.remove_fault(identity)

    # -- what the ledger says --------------------------------------------------------------------------------------

    async def books(self, user: User | None = None, *, rows: int = 0) -> Books:
        """The user's money once nothing is held and the log has `rows` rows, or after SETTLING_MS."""
        owner = user or await self.user()
        started, pause_ms = now_ms(), 10.0
        while True:
            account = await self.admin.account(owner.id)
            if account["held_uc"] == 0 or now_ms() - started > SETTLING_MS:
                books = await self.admin.books(owner.id)
                if len(books.rows) >= rows or now_ms() - started > SETTLING_MS:
                    break
            await sleep_ms(pause_ms)
            pause_ms = min(pause_ms * 1.5, 200.0)
        title = f"balance {books.balance_uc} uc, held {books.held_uc} uc, {len(books.rows)} log rows"
        self.evidence.note("ledger", title, pretty({"transfers": books.transfers[-12:], "logs": books.rows[:6]}))
        return books

    async def charged(self, user: User | None = None) -> int:
        """What the user has paid for one request, after the books closed."""
        return (await self.books(user, rows=1)).charged_uc

    def estimate_uc(self, reply: Reply, input_tokens: int | None = None) -> int:
        """The declared charge for a reply whose usage nobody told: from the request's text and what was delivered."""
        per = self.policies.bytes_per_token
        if input_tokens is None:
            input_tokens = oracle.estimated_input_tokens(reply.sent.document, per)
        output_tokens = oracle.estimated_output_tokens(reply.heard_so_far.delivered, per)
        return oracle.price_uc(reply.sent.document["model"], input_tokens, output_tokens)


def expect_status(reply: Reply, status: int, kind: str | None = None) -> None:
    """Raise Violation unless a reply has this status and, where given, this error type."""
    if reply.status != status or (kind is not None and (reply.error or ("", ""))[0] != kind):
        raise Violation(f"due {status} {kind or ''}".rstrip() + f"; came {reply}")


def expect_text(reply: Reply, text: str) -> None:
    """Raise Violation unless the reply succeeded and says exactly this."""
    expect_status(reply, 200)
    if reply.error or reply.heard.text != text:
        raise Violation(f"text due {text!r}; came {reply.heard.text!r}, error {reply.error}")


def providers(entries: Sequence[Entry]) -> list[str]:
    """Who was called, in order."""
    return [entry.provider for entry in entries]
