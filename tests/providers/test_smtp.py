"""SMTP: the settings, mailboxes, and every way in which a server takes a letter or does not."""

from __future__ import annotations

import asyncio
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult
from hypothesis import given
from hypothesis.strategies import text

from providers.errors import ClientMisconfigured, TryLater
from providers.secret import Secret
from providers.smtp import Lost, PutOff, Refused, Server, address
from tests.posting import Post, certificate, receiving, text_of, with_tls

FROM, TO = address("Acme <flows@acme.example>"), address("kim@acme.example")


def letter() -> EmailMessage:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "Hello", FROM, TO
    message.set_content(".a line that begins with a dot\n")
    return message


async def send(server: Server) -> None:
    """One letter over a connection of its own."""
    async with server.connected("acme.example") as connection:
        await connection.send(letter(), FROM, TO)


def test_a_server_is_named_by_its_url() -> None:
    """Port, user, password and TLS come out of one setting; submission's port is the default."""
    assert Server.parse("smtp://mail.example") == Server("mail.example", 587)
    assert Server.parse("smtps://us%40er:p%2Fw@mail.example") == Server(
        "mail.example", 465, "us@er", Secret("p/w"), tls=True
    )
    assert Server.parse("smtp://127.0.0.1:25").may_be_plain
    assert Server.parse("smtp://mail.example?starttls=optional").may_be_plain
    assert "p/w" not in repr(Server.parse("smtps://us%40er:p%2Fw@mail.example"))


@pytest.mark.parametrize(
    "url",
    [
        *("http://mail.example", "smtp://", "mail.example:25", "smtp://mail.example/path"),
        *("smtp://mail.example?tls=no", "smtp://u:canary/x@mail.example", "smtp://h:99999"),
        *("smtp://user@mail.example", "smtp://mail.example#x", "smtp://h?starttls=required"),
    ],
)
def test_what_names_no_server_is_refused(url: str) -> None:
    """The sentence tells nothing of a password that was not percent-encoded."""
    with pytest.raises(ValueError) as caught:
        Server.parse(url)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "said",
    [
        *(
            "",
            "kim",
            "@acme.example",
            "kim@",
            "a@x.example, b@y.example",
            "a@x.example,b@y.example",
        ),
        *("kim@acme.example\r\nBcc: lee@acme.example", "a>b@c.example", "a b@c.example"),
        *("kim@acme.example\nX: y", "Group: a@b.example;", "kim@" + "ü" * 80 + ".example"),
    ],
)
def test_a_mailbox_is_one_mailbox(said: str) -> None:
    """Safety 13: what a directory calls an address is never two, and never a header of its own."""
    with pytest.raises(ValueError, match="mailbox"):
        address(said)


@given(text())
def test_any_text_is_a_mailbox_or_none(said: str) -> None:
    """Safety 13: whatever a directory says, what comes of it fits on one line of one header."""
    try:
        found = address(said)
    except ValueError:
        return
    message = EmailMessage()
    message["To"] = found
    assert len(message["To"].addresses) == 1
    assert found.addr_spec.isascii()


def test_a_domain_is_written_as_it_travels() -> None:
    """RFC 5891: a name beyond ASCII is asked for in its ASCII form."""
    assert address("kim@müller.example").addr_spec == "kim@xn--mller-kva.example"


async def test_a_letter_arrives_as_it_was_written() -> None:
    """RFC 5321, 4.5.2: dots at the beginning of a line come through."""
    async with receiving() as post:
        await send(Server.parse(post.url))
    assert text_of(post.letters[0]).startswith(".a line")
    assert post.recipients == ["kim@acme.example"]


@pytest.mark.parametrize(
    ("where", "answer", "kind"),
    [
        ("to", "550 no such person", Refused),
        ("to", "451 come back later", PutOff),
        ("to", "421 shutting down", Lost),
        ("content", "554 spam", Refused),
        ("content", "452 full", PutOff),
    ],
)
async def test_answers_are_told_apart(where: str, answer: str, kind: type[Exception]) -> None:
    """5xx is for good, 4xx for now, and 421 ends the connection (RFC 5321, 4.2.1 and 3.8)."""
    post = Post()
    getattr(post, where)["*"] = answer
    async with receiving(post):
        with pytest.raises(kind) as caught:
            await send(Server.parse(post.url))
    assert type(caught.value) is kind
    assert post.letters == []


async def test_a_sender_nobody_takes_is_a_setting() -> None:
    """No letter is to blame where MAIL FROM is refused."""

    class Choosy(Post):
        async def handle_MAIL(self, *_: Any) -> str:
            return "553 not from you"

    async with receiving(Choosy()) as post:
        with pytest.raises(ClientMisconfigured, match="not from you"):
            await send(Server.parse(post.url))


async def test_nobody_there() -> None:
    """A closed port is told by the host's name, and nothing of it is a letter's fault."""
    async with receiving() as post:
        url = post.url
    with pytest.raises(TryLater, match=r"127\.0\.0\.1 cannot be reached"):
        await send(Server.parse(url))


async def test_a_server_that_says_nothing() -> None:
    """The whole handshake has one deadline."""
    silent = await asyncio.start_server(lambda _, writer: _held.append(writer), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    try:
        with pytest.raises(TryLater, match="did not answer in time"):
            await send(Server("127.0.0.1", port, may_be_plain=True, patience_s=0.05))
    finally:
        for writer in _held:
            writer.close()
        silent.close()


_held: list[asyncio.StreamWriter] = []


async def test_beyond_this_machine_tls_is_needed() -> None:
    """A server that offers no STARTTLS gets no letter, unless the setting says it may."""
    async with receiving() as post:
        with pytest.raises(ClientMisconfigured, match="STARTTLS"):
            await send(Server("127.0.0.1", post.port))
        await send(Server("127.0.0.1", post.port, may_be_plain=True))
    assert len(post.letters) == 1


@pytest.mark.parametrize("plain", [False, True])
async def test_a_bad_certificate_ends_it(tmp_path: Path, plain: bool) -> None:
    """Where STARTTLS is offered its certificate counts, even where TLS is optional."""
    context = with_tls(certificate(tmp_path))
    async with receiving(tls_context=context) as post:
        with pytest.raises(TryLater, match=r"certificate of 127\.0\.0\.1 is not trusted"):
            await send(Server("127.0.0.1", post.port, may_be_plain=plain))
    assert post.letters == []


async def test_a_trusted_certificate_and_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE names an authority of one's own; the password goes over TLS alone."""
    file, asked = certificate(tmp_path), []

    def knows(_: Any, session: Any, _envelope: Any, _mechanism: str, said: Any) -> AuthResult:
        asked.append((session.ssl is not None, said.login, said.password))
        return AuthResult(success=said.password == b"right", handled=False)

    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    settings: dict[str, Any] = {
        "authenticator": knows,
        "auth_required": True,
        "auth_require_tls": True,
    }
    async with receiving(tls_context=with_tls(file), **settings) as post:
        await send(Server("127.0.0.1", post.port, "broker", Secret("right")))
        with pytest.raises(ClientMisconfigured, match="user and password"):
            await send(Server("127.0.0.1", post.port, "broker", Secret("wrong")))
    assert set(asked) == {(True, b"broker", b"right"), (True, b"broker", b"wrong")}
    assert len(post.letters) == 1
