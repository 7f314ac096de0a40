"""Hands one mail to an SMTP server. Imported only where there is one: the client takes a while to load."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from typing import Final

import aiosmtplib

from gateway.mail.letter import Deliver, Letter, NotSent, Refused
from gateway.mail.server import Server

TIMEOUT_S: Final = 20.0  # for each answer of the server
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def message_of(letter: Letter, sender: str) -> EmailMessage:
    """The mail as it goes out. Header lines cannot be smuggled in: a line break in one is a ValueError."""
    message = EmailMessage(policy=SMTP_POLICY)
    message["From"] = sender
    message["To"] = letter.recipient
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(datetime.fromtimestamp(letter.created_at_ms // 1000, UTC))
    message["Message-ID"] = f"<{letter.message_id}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    message.set_content(letter.text)
    return message


def deliverer(server: Server) -> Deliver:
    """Hands mails to this server, each over a connection of its own."""

    async def deliver(letter: Letter) -> None:
        try:
            message = message_of(letter, server.sender)
        except ValueError as error:
            raise Refused(f"not a mail: {error}") from None
        try:
            await _hand_in(server, message)
        except (aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPDataError) as error:
            raise _judged(error) from None
        except (aiosmtplib.SMTPException, OSError, UnicodeError) as error:  # a certificate's error is an OSError
            raise NotSent(_said(error)) from None

    return deliver


async def _hand_in(server: Server, message: EmailMessage) -> None:
    context = ssl.create_default_context(cafile=server.ca)
    client = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        use_tls=server.tls,
        start_tls=False,
        tls_context=context,
        timeout=TIMEOUT_S,
    )
    try:
        await client.connect()
        await client.ehlo()
        safe = server.tls or server.host in LOOPBACK
        if not server.tls and client.supports_extension("starttls"):
            await client.starttls(tls_context=context)
            await client.ehlo()
            safe = True
        if server.user is not None:
            if not safe:
                raise NotSent("the server offers no STARTTLS, and without it no password is told")
            await client.login(server.user, server.password or "")
        await client.send_message(message)
    finally:
        client.close()


def _judged(error: aiosmtplib.SMTPException) -> NotSent:
    """Whether trying again may help: not after a 5xx for the address or the text."""
    codes = [error.code] if isinstance(error, aiosmtplib.SMTPResponseException) else []
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        codes = [refused.code for refused in error.recipients]
    return (Refused if codes and min(codes) >= 500 else NotSent)(_said(error))


def _said(error: BaseException) -> str:
    """The error for the log, on one line."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        error = error.recipients[0]
    text = f"{error.code} {error.message}" if isinstance(error, aiosmtplib.SMTPResponseException) else str(error)
    return " ".join(f"{type(error).__name__}: {text}".split())[:300]
