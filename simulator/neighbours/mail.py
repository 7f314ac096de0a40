"""A mail server that delivers nothing: it takes mails by SMTP, or refuses them as told, and keeps them to be read.

The protocol is aiosmtpd's (RFC 5321, STARTTLS of RFC 3207, AUTH of RFC 4954); ours is what it says, and when.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import tempfile
from contextlib import suppress
from typing import Any, Final, NoReturn, cast

from aiosmtpd.smtp import MISSING, SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from simulator.clock import Clock
from simulator.neighbours.accounts import Directory
from simulator.neighbours.faults import Faults, InForce
from simulator.neighbours.keys import LOCAL, USUAL, certificate, pem, rsa_key
from simulator.neighbours.letters import Letter, case_of
from simulator.neighbours.records import Records

MAIL_BYTES_MAX: Final = 10 << 20
CONNECTIONS_MAX: Final = 200
IDENT: Final = "Windtunnel ESMTP"
MECHANISMS: Final = ("LOGIN", "PLAIN")
SETTINGS: Final = {"starttls": "offered", "auth": "offered"}
HOW: Final = ["off", "offered", "required"]
SETTINGS_SCHEMA: Final = {
    "starttls": {"description": "Whether TLS can be had on the connection.", "enum": HOW},
    "auth": {"description": "Whether credentials can be given; any mail needs them when required.", "enum": HOW},
}


class Mail:
    """The server: what it is told to do, and what it took."""

    def __init__(self, clock: Clock, seed: int, directory: Directory) -> None:
        self.faults = Faults("mail")
        self.settings: dict[str, Any] = dict(SETTINGS)
        self.records: Records[Letter] = Records()
        self.sock: socket.socket | None = None  # bound; None: it is switched off
        self.clock = clock
        self.directory = directory
        self.connections: set[Postman] = set()
        self._seed = seed
        self._tls: ssl.SSLContext | None = None
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Serve on its socket, if it has one."""
        if self.sock is not None:
            self._server = await asyncio.get_running_loop().create_server(lambda: Postman(self), sock=self.sock)

    async def close(self) -> None:
        """Serve no more; exchanges under way are cut."""
        if self._server is not None:
            self._server.close()
            for postman in tuple(self.connections):
                postman.end()
            self._server = None

    def tls(self) -> ssl.SSLContext:
        """What STARTTLS offers: a certificate for localhost that it signed itself."""
        if self._tls is None:
            key = rsa_key(self._seed, USUAL)
            with tempfile.NamedTemporaryFile("w") as file:  # OpenSSL reads keys from files alone
                file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
                file.write(self.certificate())
                file.flush()
                self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                self._tls.load_cert_chain(file.name)
        return self._tls

    def certificate(self) -> str:
        """That certificate as PEM."""
        return pem(certificate(self._seed, USUAL, LOCAL))

    def address(self) -> dict[str, Any] | None:
        """Where it is; None when it is switched off."""
        if self.sock is None:
            return None
        host, port = self.sock.getsockname()[:2]
        return {"host": host, "port": port}

    def describe(self, _url: str = "") -> dict[str, Any]:
        """Where it is and whom it knows."""
        return {"smtp": self.address(), "users": dict(self.directory.mail), "certificate": self.certificate()}

    def reset(self) -> None:
        """No faults, and the settings as they were."""
        self.faults.remove()
        self.settings = dict(SETTINGS)


class Postman(SMTP):
    """One connection."""

    def __init__(self, mail: Mail) -> None:
        settings = mail.settings
        self._mail = mail
        self._auth_how = settings["auth"]
        super().__init__(
            Hooks(mail),
            data_size_limit=MAIL_BYTES_MAX,
            enable_SMTPUTF8=True,
            hostname=LOCAL,
            ident=IDENT,
            tls_context=None if settings["starttls"] == "off" else mail.tls(),
            require_starttls=settings["starttls"] == "required",
            auth_require_tls=False,
            auth_exclude_mechanism=MECHANISMS if self._auth_how == "off" else None,
            authenticator=self._judge,
            loop=asyncio.get_running_loop(),
        )
        self._auth_required = self._auth_how == "required"  # the constructor would warn of it without TLS

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As aiosmtpd, within bounds."""
        self._mail.connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """As aiosmtpd."""
        self._mail.connections.discard(self)
        super().connection_lost(error)

    async def _handle_client(self) -> None:
        with suppress(ConnectionError):
            if len(self._mail.connections) > CONNECTIONS_MAX:
                await self.push("421 4.7.0 Too many connections")
                self.hang_up()
            faults = self._mail.faults.at("connect", None)
            refusal = await self.met("connect", faults)
            if refusal is not None:
                await self.push(refusal)
                self._close()
                return
            await super()._handle_client()

    async def smtp_STARTTLS(self, arg: str) -> None:
        """As aiosmtpd, unless a fault has it otherwise."""
        faults = self._mail.faults.at("starttls", None) if self.tls_context else []
        if any("drop" in fault.does for fault in faults):
            await self.push("220 Ready to start TLS")
        refusal = await self.met("starttls", faults)
        if refusal is not None:
            await self.push(refusal)
            return
        await super().smtp_STARTTLS(arg)

    async def smtp_DATA(self, arg: str) -> None:
        """As aiosmtpd, unless the connection is to go on the way."""
        recipients = self.envelope.rcpt_tos if self.envelope is not None else []
        faults = self._mail.faults.at("body", case_of(recipients)) if recipients and not arg else []
        if faults:
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            got = b""
            while len(got) < faults[0]["bytes"] and not got.endswith(b"\r\n.\r\n"):
                got += await self._reader.read(faults[0]["bytes"] - len(got))
            self.record("dropped", "body", None, faults, got)
            self.hang_up()
        await super().smtp_DATA(arg)

    async def met(self, place: str, faults: list[InForce], content: bytes = b"", to: str | None = None) -> str | None:
        """Let faults happen: what to say instead of yes, after a wait if there is one; None: nothing of the kind."""
        await self._wait(sum(fault.options.get("delay_ms", 0) for fault in faults))
        for fault in faults:
            if "drop" in fault.does:
                self.record("dropped", place, None, faults, content, to)
                self.hang_up()
            if "code" in fault.options:
                refusal = f"{fault['code']} {fault['text']}"
                outcome = "deferred" if fault["code"] < 500 else "refused"
                self.record(outcome, place, refusal, faults, content, to)
                if fault["code"] == 421:  # RFC 5321 section 4.2.3: the server closes
                    self.loop.call_soon(self._close)
                return refusal
        return None

    async def _wait(self, ms: float) -> None:
        """So long by the fleet's clock."""
        if ms > 0:
            done = asyncio.Event()
            clock = self._mail.clock
            waiting = clock.call_at(clock.now_ms() + ms, done.set)
            try:
                await done.wait()
            finally:
                waiting.cancel()

    def record(
        self,
        outcome: str,
        place: str,
        reply: str | None,
        faults: list[InForce],
        content: bytes = b"",
        to: str | None = None,
    ) -> None:
        """Put on record what became of a mail, or of a recipient."""
        envelope, session = self.envelope, self.session
        recipients = tuple(map(_text, (to,) if to is not None else envelope.rcpt_tos if envelope else ()))
        self._mail.records.add(
            Letter(
                case_of(recipients, content),
                outcome,
                place,
                reply,
                self._mail.clock.now_ms(),
                tuple(fault.kind.name for fault in faults),
                _text(session.host_name) if session and session.host_name else None,
                bool(session and session.ssl is not None),
                _user(session),
                _text(envelope.mail_from) if envelope and envelope.mail_from else None,
                recipients,
                content,
            )
        )

    def hang_up(self) -> NoReturn:
        """End the connection, and all that was under way on it."""
        self.end()
        raise asyncio.CancelledError

    def end(self) -> None:
        """End the connection, and drop what was not sent."""
        if self.transport is not None:
            cast(asyncio.WriteTransport, self.transport).abort()

    def _close(self) -> None:
        """End the connection once all is sent."""
        if self.transport is not None:
            self.transport.close()

    def _judge(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        """Whether credentials are those of a user."""
        faults = self._mail.faults.at("auth", None)
        name = data.login.decode("utf-8", "replace") if isinstance(data, LoginPassword) else ""
        known = self._mail.directory.mail.get(name)
        if not faults and known is not None and data.password == known.encode():
            return AuthResult(success=True, auth_data=data)
        reply = f"{faults[0]['code']} {faults[0]['text']}" if faults else "535 5.7.8 Authentication credentials invalid"
        self.record("refused", "auth", reply, faults)
        return AuthResult(success=False, handled=False, message=reply)


class Hooks:
    """What happens at each command, as aiosmtpd asks for it."""

    def __init__(self, mail: Mail) -> None:
        self._mail = mail

    async def handle_EHLO(
        self, server: Postman, session: Session, _: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """What is offered."""
        refusal = await server.met("helo", self._mail.faults.at("helo", None))
        if refusal is not None:
            return [refusal]
        session.host_name = hostname
        if self._mail.settings["auth"] == "off":
            return [line for line in responses if not line.startswith("250-AUTH")]
        return responses

    async def handle_HELO(self, server: Postman, session: Session, _: Envelope, hostname: str) -> str:
        """The same for old clients."""
        refusal = await server.met("helo", self._mail.faults.at("helo", None))
        if refusal is None:
            session.host_name = hostname
        return refusal or f"250 {LOCAL}"

    async def handle_MAIL(self, server: Postman, _: Session, _envelope: Envelope, address: str, _options: Any) -> Any:
        """The sender."""
        return await server.met("mail", self._mail.faults.at("mail", case_of([address]))) or MISSING

    async def handle_RCPT(self, server: Postman, _: Session, _envelope: Envelope, address: str, _options: Any) -> Any:
        """A recipient."""
        return await server.met("rcpt", self._mail.faults.at("rcpt", case_of([address])), to=address) or MISSING

    async def handle_DATA(self, server: Postman, _: Session, envelope: Envelope) -> str:
        """The mail is whole."""
        content = bytes(envelope.original_content or b"")
        faults = self._mail.faults.at("data", case_of(envelope.rcpt_tos, content))
        refusal = await server.met("data", faults, content)
        if refusal is not None:
            return refusal
        reply = f"250 2.0.0 OK queued as {self._mail.records.next_n}"
        silent = any("silent" in fault.does for fault in faults)
        server.record("taken", "data", None if silent else reply, faults, content)
        if silent:
            server.hang_up()
        return reply

    async def handle_exception(self, error: Exception) -> str:
        """Our own mistake."""
        return f"451 4.3.0 The fleet failed: {type(error).__name__}"


def _text(value: str) -> str:
    """An address as JSON can hold it."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _user(session: Session | None) -> str | None:
    data = session.auth_data if session is not None and session.authenticated else None
    return data.login.decode("utf-8", "replace") if isinstance(data, LoginPassword) else None
