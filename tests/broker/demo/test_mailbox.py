"""The pretend mailbox: letters arrive by SMTP and can be read in a browser."""

from __future__ import annotations

from email.message import EmailMessage

import httpx

from broker.demo.mailbox import KEPT, Mailbox
from broker.demo.simulator import Simulator, create
from providers.smtp import Server, address

FROM, TO = address("Acme <flows@acme.example>"), address("kim@acme.example")
BASE_URL = "http://localhost:1"


async def sent(mailbox: Mailbox, *subjects: str) -> None:
    """These letters, over one connection."""
    server = Server.parse(f"smtp://127.0.0.1:{mailbox.port}")
    async with server.connected("acme.example") as connection:
        for subject in subjects:
            message = EmailMessage()
            message["Subject"], message["From"], message["To"] = subject, FROM, TO
            message.set_content(".dots\n..and <more>\nhttp://127.0.0.1:8080/invitations/x\n")
            await connection.send(message, FROM, TO)


async def test_a_letter_can_be_read() -> None:
    """The newest is first; its text is as it was written, its link can be followed, and nothing
    in it is HTML.
    """
    simulator = Simulator(BASE_URL)
    transport = httpx.ASGITransport(create(simulator))
    async with (
        simulator.mailbox.receiving(),
        httpx.AsyncClient(transport=transport, base_url=BASE_URL) as browser,
    ):
        await sent(simulator.mailbox, "First", "Second <b>")
        listed = (await browser.get("/mailbox")).text
        assert listed.index("Second &lt;b&gt;") < listed.index("First")
        assert "2 letters" in listed
        read = (await browser.get("/mailbox/0")).text
        assert (await browser.get("/mailbox/2")).status_code == 404
    assert ".dots\n..and &lt;more&gt;" in read.replace("\r\n", "\n")
    assert "<a href='http://127.0.0.1:8080/invitations/x'>" in read
    assert "kim@acme.example" in read


async def test_it_keeps_so_many() -> None:
    """A demo that runs for weeks does not fill the memory."""
    mailbox = Mailbox()
    async with mailbox.receiving():
        await sent(mailbox, *(f"{n}" for n in range(KEPT + 1)))
    assert len(mailbox.letters) == KEPT
    assert mailbox.letters[-1][1]["Subject"] == f"{KEPT}"
