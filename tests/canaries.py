"""Planted secrets, and everything that could show one: logs, answers, errors, what is kept.

Whatever a test hands in as a secret is `planted(…)`; the pretend programs mark each refresh token,
code and access token they give out. Everything the suite sees is searched for the mark (promise
17), also after percent- or HTML-encoding, in base64 and in hexadecimal.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from functools import cache, wraps
from pathlib import Path
from typing import Any

import _pytest.raises
import httpx
import structlog.testing

from broker.db.seal import Unreadable
from broker.demo import grants
from broker.domain.errors import BrokerError
from providers.errors import ProviderError
from tests.hearing import hear_answers

CANARY = "canary-9f31c7"
"""Part of what nobody but its program may ever see: a client secret, a refresh token, a code."""
HANDED = "handed-4e82d5"
"""Part of an access token: it may leave in an answer, and nowhere else."""
CLOSED, OPEN = (CANARY, HANDED), (CANARY,)
"""What is looked for where nothing secret may be, and where a credential may be handed out."""

leaks: list[str] = []
"""Where a mark was found since the list was last emptied: the test of now fails by it."""


def planted(name: str, mark: str = CANARY) -> str:
    """A secret of that name, to be found wherever it turns up."""
    return f"{name}-{mark}"


def key(kid: str) -> str:
    """An encryption key in the form of the setting, made of the mark."""
    return f"{kid}:{base64.urlsafe_b64encode((CANARY * 3).encode()[:32]).decode().rstrip('=')}"


def search(where: str, said: str | bytes, marks: Iterable[str] = CLOSED) -> None:
    """Look for a mark in what was logged, answered, raised or kept."""
    text = said if isinstance(said, bytes) else said.encode("utf-8", "surrogatepass")
    leaks.extend(f"{mark.partition('-')[0]} in {where}" for mark in marks if seen(text, mark))


def seen(text: bytes, mark: str) -> bool:
    """Whether a mark is in there, as it is or encoded."""
    return any(form in text for form in _forms(mark))


@cache
def _forms(mark: str) -> tuple[bytes, ...]:
    """The mark, in hexadecimal, and in base64 wherever it begins in a group of three."""
    plain = mark.encode()
    shifted = [base64.b64encode(b" " * lead + plain) for lead in range(3)]
    inner = [text[4 * (lead > 0) :].rstrip(b"=")[:-1] for lead, text in enumerate(shifted)]
    return (plain, plain.hex().encode(), *inner)


def search_files(folder: Path, pattern: str) -> None:
    """Look into files as they are on the disk: a database, its journal, a log."""
    for file in folder.glob(pattern):
        search(file.name, file.read_bytes())


def watch() -> None:
    """Mark what the pretend programs give out, and listen to everybody; until the process ends."""
    _marking()
    for error in (BrokerError, ProviderError, Unreadable):
        _listening(error, "__init__", _raised)
    _listening(_pytest.raises.RaisesExc, "__exit__", _caught)
    _listening(structlog.testing.LogCapture, "__call__", _logged, before=True)
    hear_answers(answered)


def answered(answer: httpx.Response) -> None:
    """Look into what a broker answered; the pretend programs, `localhost`, may say what they do."""
    url = answer.request.url
    if url.host == "127.0.0.1":
        where = f"the answer to {answer.request.method} {url.path}"
        search(where, answer.content, OPEN)
        search(where, b"\n".join(b"%b: %b" % pair for pair in answer.headers.raw), OPEN)


def _marking() -> None:
    issue, token = grants.State.issue, grants.State.token

    @wraps(issue)
    def issued(self: grants.State, code: grants.Code) -> str:
        text = issue(self, code)
        marked = f"{text}{CANARY}"
        self.codes[marked] = self.codes.pop(text)
        return marked

    @wraps(token)
    def made(self: grants.State, mark: int) -> str:
        return token(self, mark) + (HANDED if mark else CANARY)

    setattr(grants.State, "issue", issued)  # noqa: B010
    setattr(grants.State, "token", made)  # noqa: B010


def _listening(on: type, name: str, told: Any, *, before: bool = False) -> None:
    """Let `told` hear of each call of a method."""
    real = getattr(on, name)

    @wraps(real)
    def heard(self: Any, *args: Any, **more: Any) -> Any:
        if before:
            told(self, *args)
        answer = real(self, *args, **more)
        if not before:
            told(self, *args)
        return answer

    setattr(on, name, heard)


def _raised(error: BaseException, *_: object) -> None:
    name = type(error).__name__
    search(name, f"{error} {error!r} {error.args} {vars(error)}")


def _caught(_: object, __: object, error: BaseException | None, ___: object) -> None:
    """An error that a test expected, and what it came from."""
    while error is not None:
        search(type(error).__name__, f"{error} {error!r}")
        error = error.__cause__ or error.__context__


def _logged(_: object, __: object, ___: str, event: dict[str, Any]) -> None:
    search("a log line", repr(event))


def found() -> str | None:
    """What was found since it was last asked, in a sentence; None where nothing was."""
    told, leaks[:] = sorted(set(leaks)), []
    return f"a planted secret was seen: {', '.join(told)}" if told else None
