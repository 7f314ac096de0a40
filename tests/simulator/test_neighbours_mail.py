"""The mail server, as Python's smtplib meets it."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.clock import Clock
from simulator.neighbours.letters import case_of, read
from simulator.neighbours.records import Records, Wanted
from tests.simulator.live import Line
from tests.simulator.neighbours import PASSWORD, TIMEOUT_S, Neighbourly, neighbourly

FROM, TO = "gateway@windtunnel.example", "ann@acme.example"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Neighbourly]:
    with neighbourly(Clock("manual")) as found:
        yield found


@pytest.fixture(autouse=True)
def _as_new(request: pytest.FixtureRequest) -> None:
    if "fleet" in request.fixturenames:
        request.getfixturevalue("fleet").control("POST", "reset")


@contextmanager
def sender(fleet: Neighbourly) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP(*fleet.smtp, local_hostname="gateway.example", timeout=TIMEOUT_S) as smtp:
        yield smtp


def letter(to: str = TO, text: str = "Your invitation: https://gateway.example/i/123") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = FROM, to, "Zoë, welcome"
    mail.set_content(text)
    mail.add_alternative(f"<p>{text}</p>", subtype="html")
    mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="terms.pdf")
    return mail


def sent(fleet: Neighbourly, mail: EmailMessage, *, tls: bool = False) -> None:
    with sender(fleet) as smtp:
        if tls:
            smtp.starttls()
        smtp.send_message(mail)


def mails(fleet: Neighbourly, **params: object) -> list[dict[str, Any]]:
    query = "&".join(f"{name}={value}" for name, value in params.items())
    found: list[dict[str, Any]] = fleet.control("GET", f"mails?{query}")["mails"]
    return found


def until_hit(fleet: Neighbourly, kind: str) -> None:
    """Return once a fault has hit: the server waits by then."""
    for _ in range(2000):
        if any(row["hits"] for row in fleet.control("GET", "neighbours/mail")["faults"] if row["kind"] == kind):
            return
    raise AssertionError(f"{kind} never hit")


def is_silent(line: Line) -> bool:
    """Whether nothing has come."""
    line.sock.setblocking(False)
    try:
        line.sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    finally:
        line.sock.settimeout(TIMEOUT_S)
    return False


def test_a_mail_is_taken_and_can_be_read(fleet: Neighbourly) -> None:
    with sender(fleet) as smtp:
        assert smtp.send_message(letter(), FROM, [TO, "bob@acme.example"]) == {}
    (one,) = mails(fleet)
    assert (one["outcome"], one["reply"], one["helo"]) == (
        "taken",
        f"250 2.0.0 OK queued as {one['n']}",
        "gateway.example",
    )
    assert (one["from"], one["to"], one["case"]) == (FROM, [TO, "bob@acme.example"], None)
    assert one["subject"] == "Zoë, welcome"
    assert one["text"].strip() == "Your invitation: https://gateway.example/i/123"
    assert one["html"].startswith("<p>Your invitation")
    assert one["attachments"] == [{"filename": "terms.pdf", "type": "application/pdf", "bytes": 4}]
    assert ["To", TO] in one["headers"]
    assert one["bytes"] == len(one["raw"])
    assert (one["tls"], one["user"], one["faults"]) == (False, None, [])
    assert one["at_ms"] == fleet.control("GET", "clock")["now_ms"]


def test_mails_belong_to_cases(fleet: Neighbourly) -> None:
    with sender(fleet) as smtp:
        smtp.send_message(letter("ann+m1@acme.example"))
        smtp.send_message(letter(text="A job of yours has ended. [[case:m2]] ä"))
        smtp.send_message(letter())
    assert [one["to"] for one in mails(fleet, case="m1")] == [["ann+m1@acme.example"]]
    assert [one["case"] for one in mails(fleet, case="m*", count=2, wait_ms=5000)] == ["m1", "m2"]
    assert len(mails(fleet)) == 3


def test_starttls_and_credentials(fleet: Neighbourly) -> None:
    pem = fleet.control("GET", "neighbours/mail")["certificate"]
    context = ssl.create_default_context(cadata=pem)
    with sender(fleet) as smtp:
        smtp.ehlo()
        assert smtp.has_extn("starttls")
        assert smtp.has_extn("auth")
        smtp.starttls(context=context)
        smtp.login("windtunnel", PASSWORD)
        smtp.send_message(letter())
    (one,) = mails(fleet)
    assert (one["tls"], one["user"]) == (True, "windtunnel")
    with sender(fleet) as smtp, pytest.raises(smtplib.SMTPAuthenticationError):
        smtp.login("windtunnel", "guess")
    assert [(one["outcome"], one["place"]) for one in mails(fleet)][1:] == [("refused", "auth")] * (
        len(mails(fleet)) - 1
    )


def test_what_is_offered_can_be_chosen(fleet: Neighbourly) -> None:
    fleet.control("PUT", "neighbours/mail", {"starttls": "off", "auth": "off"})
    with sender(fleet) as smtp:
        smtp.ehlo()
        assert not smtp.has_extn("starttls")
        assert not smtp.has_extn("auth")
        smtp.send_message(letter())
    fleet.control("PUT", "neighbours/mail", {"starttls": "required", "auth": "required"})
    with sender(fleet) as smtp:
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            smtp.send_message(letter())
        assert refused.value.smtp_code == 530
    with sender(fleet) as smtp:
        smtp.starttls(context=ssl.create_default_context(cadata=fleet.control("GET", "neighbours/mail")["certificate"]))
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            smtp.send_message(letter())
        assert b"Authentication required" in refused.value.smtp_error
        smtp.login("windtunnel", PASSWORD)
        smtp.send_message(letter())
    assert [one["outcome"] for one in mails(fleet)] == ["taken", "taken"]


@pytest.mark.parametrize(
    ("kind", "code", "place", "outcome"),
    [
        ("refuse_connection", 554, "connect", "refused"),
        ("too_many_connections", 421, "connect", "deferred"),
        ("refuse_helo", 550, "helo", "refused"),
        ("refuse_sender", 550, "mail", "refused"),
        ("refuse_recipient", 550, "rcpt", "refused"),
        ("greylist", 450, "rcpt", "deferred"),
        ("mailbox_full", 452, "rcpt", "deferred"),
        ("refuse_data", 554, "data", "refused"),
        ("defer_data", 451, "data", "deferred"),
    ],
)
def test_refusals_in_the_servers_words(fleet: Neighbourly, kind: str, code: int, place: str, outcome: str) -> None:
    fleet.hurt("mail", kind, times=2 if place == "helo" else 1)  # smtplib says HELO after a refused EHLO
    with pytest.raises(smtplib.SMTPException) as refused, sender(fleet) as smtp:
        smtp.send_message(letter())
    error: Any = refused.value
    seen = error.recipients[TO][0] if isinstance(error, smtplib.SMTPRecipientsRefused) else error.smtp_code
    assert seen == code
    assert {(one["place"], one["outcome"], one["faults"][0]) for one in mails(fleet)} == {(place, outcome, kind)}
    with sender(fleet) as smtp:
        smtp.send_message(letter())
    assert mails(fleet)[-1]["outcome"] == "taken", "the fault is spent"


def test_only_some_recipients_are_refused(fleet: Neighbourly) -> None:
    fleet.hurt("mail", "refuse_recipient", case="gone", code=551, text="5.1.6 Moved")
    with sender(fleet) as smtp:
        refused = smtp.send_message(letter(), FROM, [TO, "bob+gone@acme.example"])
    assert refused == {"bob+gone@acme.example": (551, b"5.1.6 Moved")}
    assert [(one["outcome"], one["to"]) for one in mails(fleet)] == [
        ("refused", ["bob+gone@acme.example"]),
        ("taken", [TO]),
    ]


@pytest.mark.parametrize(
    ("kind", "place", "outcome"),
    [
        ("drop_connection", "connect", "dropped"),
        ("drop_in_data", "body", "dropped"),
        ("drop_after_data", "data", "taken"),
        ("drop_at_starttls", "starttls", "dropped"),
    ],
)
def test_connections_that_break(fleet: Neighbourly, kind: str, place: str, outcome: str) -> None:
    fleet.hurt("mail", kind, times=1)
    with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
        sent(fleet, letter(text="long " * 100_000 if place == "body" else "short"), tls=place == "starttls")
    (one,) = mails(fleet, wait_ms=5000)
    assert (one["place"], one["outcome"], one["faults"], one["reply"]) == (place, outcome, [kind], None)
    if place == "body":
        assert one["bytes"] == 64


def test_refused_starttls_and_credentials(fleet: Neighbourly) -> None:
    fleet.hurt("mail", "refuse_starttls")
    fleet.hurt("mail", "refuse_auth")
    with sender(fleet) as smtp:
        with pytest.raises(smtplib.SMTPResponseException) as refused:
            smtp.starttls()
        assert refused.value.smtp_code == 454
        with pytest.raises(smtplib.SMTPAuthenticationError):
            smtp.login("windtunnel", PASSWORD)


def test_slowness_is_the_fleets_clocks(fleet: Neighbourly) -> None:
    fleet.hurt("mail", "slow_greeting", delay_ms=5000, times=1)
    line = Line(fleet.smtp)
    until_hit(fleet, "slow_greeting")
    assert is_silent(line)
    fleet.control("POST", "clock", {"advance_ms": 5000})
    assert line.until(b"\r\n") == b"220 localhost Windtunnel ESMTP\r\n"
    line.close()


def test_slow_recipients_and_slow_ends(fleet: Neighbourly) -> None:
    fleet.hurt("mail", "slow_recipient", delay_ms=1000, case="slow")
    fleet.hurt("mail", "slow_data", delay_ms=1000, case="slow")
    line = Line(fleet.smtp)
    dialogue = [
        b"EHLO x\r\n",
        b"MAIL FROM:<a@b.example>\r\n",
        b"RCPT TO:<ann+slow@acme.example>\r\n",
        b"DATA\r\n",
        b"Hi\r\n.\r\n",
    ]
    line.until(b"\r\n")
    codes = []
    for at, said in enumerate(dialogue):
        line.send(said)
        if at in (2, 4):
            until_hit(fleet, "slow_recipient" if at == 2 else "slow_data")
            assert is_silent(line)
            fleet.control("POST", "clock", {"advance_ms": 1000})
        while (reply := line.until(b"\r\n") or b"")[3:4] == b"-":
            continue
        codes.append(reply[:3])
    assert codes == [b"250", b"250", b"250", b"354", b"250"]
    assert mails(fleet)[-1]["faults"] == ["slow_data"]
    line.close()


def test_a_mail_that_is_too_large(fleet: Neighbourly) -> None:
    with sender(fleet) as smtp, pytest.raises(smtplib.SMTPSenderRefused) as refused:
        smtp.sendmail(FROM, [TO], b"x" * (11 << 20))
    assert refused.value.smtp_code == 552


def test_nonsense_is_answered(fleet: Neighbourly) -> None:
    line = Line(fleet.smtp)
    line.until(b"\r\n")
    for raw, code in (
        (b"\xff\xfe\r\n", b"500"),
        (b"RCPT TO:<a>\r\n", b"503"),
        (b"EHLO\r\n", b"501"),
        (b"x" * 2000 + b"\r\n", b"500"),
    ):
        line.send(raw)
        assert (line.until(b"\r\n") or b"")[:3] == code
    line.close()
    assert mails(fleet) == []


def test_records_are_bounded() -> None:
    class One:
        case = "x"

        def __init__(self, held_bytes: int) -> None:
            self.held_bytes = held_bytes

    by_number: Records[One] = Records(records_max=3)
    by_bytes: Records[One] = Records(bytes_max=10_000)
    for _ in range(5):
        by_number.add(One(0))
        by_bytes.add(One(4000))
    assert [n for n, _ in by_number.find(Wanted())] == [3, 4, 5]
    assert (by_number.dropped, by_number.next_n) == (2, 6)
    assert [n for n, _ in by_bytes.find(Wanted())] == [5]
    by_bytes.add(One(10**9))
    assert [n for n, _ in by_bytes.find(Wanted())] == [6], "the last one is always kept"


def test_no_mail_server_unless_wanted() -> None:
    from tests.simulator.live import running
    from tests.simulator.neighbours import ROWS

    with running(rows=ROWS) as live:
        assert live.runtime.describe()["smtp"] is None
        assert live.control("GET", "neighbours")["neighbours"]["mail"]["smtp"] is None


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300)
    | st.text(max_size=200).map(lambda text: f"Subject: {text}\nContent-Type: {text}\n\n{text}".encode())
)
def test_whatever_calls_itself_a_mail_can_be_read(content: bytes) -> None:
    import orjson

    orjson.dumps(read(content))
    case_of(["ann+x@acme.example"], content)
    case_of([], content)


def test_a_port_that_is_taken_is_one_line_and_exit_code_2() -> None:
    import subprocess
    import sys

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "simulator", "--port", "0", "--smtp-port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"fleet: cannot take mail on 127.0.0.1:{port} (--smtp-port): ")
    assert len(done.stderr.splitlines()) == 1
