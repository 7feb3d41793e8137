"""A pretend mailbox: everybody's letters, received by a small SMTP server, shown on a page."""

import asyncio
import contextlib
import email
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from html import escape

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.demo.page import page

KEPT = 1000
LINK = re.compile(r"https?://\S+")
PATH = re.compile(r"<([^>]*)>")
ANSWERS = {
    "EHLO": "250-pretend mail\r\n250 8BITMIME",
    "HELO": "250 pretend mail",
    "MAIL": "250 from whoever you say",
    "RCPT": "250 they will like it",
    "RSET": "250 forgotten",
    "NOOP": "250 fine",
    "DATA": "354 go on, and end with a dot",
    "QUIT": "221 bye",
}
"""What it says to each command (RFC 5321, 4.5.1); anything else is 500."""


@dataclass
class Mailbox:
    """The newest letters of everybody, in the order in which they came."""

    letters: list[tuple[str, EmailMessage]] = field(default_factory=list)
    port: int | None = None

    @contextlib.asynccontextmanager
    async def receiving(self, host: str = "127.0.0.1") -> AsyncIterator[None]:
        """Take letters on a free port while the block runs."""
        server = await asyncio.start_server(self._converse, host, 0, limit=1 << 20)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield

    def routes(self) -> list[Route]:
        return [Route("/mailbox", self._list), Route("/mailbox/{number:int}", self._letter)]

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        recipient = ""
        answer, verb = "220 pretend mail", ""
        with contextlib.suppress(ConnectionError, ValueError):
            while verb != "QUIT":
                writer.write(f"{answer}\r\n".encode())
                await writer.drain()
                if not (line := (await reader.readline()).decode("utf-8", "replace")):
                    break
                verb = line[:4].upper()
                answer = ANSWERS.get(verb, "500 what?")
                if verb == "RCPT" and (found := PATH.search(line)):
                    recipient = found[1]
                if verb == "DATA":
                    writer.write(f"{answer}\r\n".encode())
                    self._keep(recipient, await _content(reader))
                    answer = "250 in the mailbox"
            writer.write(f"{answer}\r\n".encode())
        writer.close()

    def _keep(self, recipient: str, content: bytes) -> None:
        message = email.message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.letters.append((recipient, message))
        del self.letters[:-KEPT]

    async def _list(self, _: Request) -> Response:
        lines = [
            f"<li>{escape(to)}: <a href='/mailbox/{number}'>{escape(message['Subject'])}</a></li>"
            for number, (to, message) in enumerate(self.letters)
        ]
        about = f"<p>{len(lines)} letters since this started, the newest first.</p>"
        return page("The pretend mailbox", f"{about}<ul>{''.join(reversed(lines))}</ul>")

    async def _letter(self, request: Request) -> Response:
        number = request.path_params["number"]
        if number >= len(self.letters):
            return page("No such letter", "<p><a href='/mailbox'>All letters</a></p>", 404)
        to, message = self.letters[number]
        text = message.get_body(("plain",))
        words = escape(text.get_content() if text else "")
        shown = LINK.sub(lambda found: f"<a href='{found[0]}'>{found[0]}</a>", words)
        heads = f"<p>From {escape(message['From'])}<br>To {escape(to)}</p>"
        return page(message["Subject"], f"{heads}<pre>{shown}</pre><a href='/mailbox'>All</a>")


async def _content(reader: asyncio.StreamReader) -> bytes:
    """The letter up to its lonely dot, without the dots that were put in front of others."""
    lines = []
    while (line := await reader.readline()) not in (b".\r\n", b""):
        lines.append(line.removeprefix(b"."))
    return b"".join(lines)
