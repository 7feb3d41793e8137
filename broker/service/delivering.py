"""Delivering: letters of the outbox leave by SMTP, each at least once and hardly ever twice."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage

import structlog

from broker.db.database import Database, Transaction
from broker.db.seal import Hasher
from broker.domain.invitations import Standing
from broker.domain.letters import Letter, State, Template
from broker.domain.links import Purpose
from broker.domain.users import User
from broker.service import inviting, linking
from broker.service.composing import composed, moment
from broker.store import connectors, invitations, letters, pauses, projects, users
from providers import smtp
from providers.errors import ProviderError
from providers.smtp import Connection, Lost, PutOff, Refused, Server

HANDFUL = 20
REST_S = 5.0
LONGEST_REST_S = 300.0
NO_ADDRESS = "The directory gave no address a letter could go to."
ENOUGH = "Three letters went to this address within a day."
log = structlog.get_logger("broker.letters")


@dataclass(frozen=True, slots=True)
class Post:
    """Where letters are handed over, and who writes them."""

    server: Server
    sender: Address

    @classmethod
    def of(cls, url: str, sender: str) -> "Post":
        """The post of the two settings; ValueError says which of them is wrong, and how."""
        server = Server.parse(url)
        try:
            return cls(server, smtp.address(sender))
        except ValueError as error:
            raise ValueError(f"BROKER_SMTP_FROM must say who letters are from: {error}") from None


@dataclass(frozen=True, slots=True)
class Ready:
    """A letter about to be handed over."""

    letter: Letter
    to: Address
    message: EmailMessage


@dataclass(slots=True)
class Course:
    """The delivery under way in this process; after trouble with the server it rests a while."""

    task: asyncio.Task[int] | None = None
    troubles: int = 0
    rests_until: float = 0.0
    is_ending: bool = False


@dataclass(frozen=True, slots=True)
class Delivering:
    """Any number of replicas may deliver at once: each holds its handful by a lease.

    Without `post` every letter waits. A process that dies after the server took a letter and
    before that is written down sends it again, with the same Message-ID.
    """

    db: Database
    hasher: Hasher
    product: str
    base_url: str
    post: Post | None
    course: Course = field(default_factory=Course)

    async def begin(self) -> None:
        """Deliver beside the worker, which a slow mail server must not hold up."""
        course = self.course
        busy = course.task is not None and not course.task.done()
        resting = asyncio.get_running_loop().time() < course.rests_until
        if self.post is None or busy or resting or not await self.db.peek(letters.is_due):
            return
        course.task = asyncio.create_task(self.deliver())
        course.task.add_done_callback(_told)

    async def landed(self) -> None:
        """Claim nothing more, and wait for the handful that is on its way."""
        self.course.is_ending = True
        if self.course.task is not None:
            await asyncio.gather(self.course.task, return_exceptions=True)

    async def deliver(self) -> int:
        """Hand over all that is due; how many letters the server took."""
        taken = 0
        while self.post is not None and not self.course.is_ending:
            claimed = await self.db.write(letters.claim, HANDFUL)
            if not claimed:
                break
            held = {letter.id: letter for letter in claimed}
            try:
                async with self.post.server.connected(self.post.sender.domain) as connection:
                    taken += await self._hand_over(self.post, connection, held)
            except ProviderError as error:
                log.warning("letters wait", code=error.provider_code, letters=len(held))
                why = error.provider_text
                await self.db.write(letters.give_back, list(held.values()), why)
                self._rest()
                break
            self.course.troubles = 0
            if self.course.is_ending:
                await self.db.write(letters.give_back, list(held.values()), None)
        return taken

    async def _hand_over(self, post: Post, connection: Connection, held: dict[str, Letter]) -> int:
        """These one by one, each looked at again just before: it may be void by now."""
        taken = 0
        for letter in list(held.values()):
            if self.course.is_ending:
                break
            ready = await self.db.write(self._preparing, letter, post.sender)
            if ready is None:
                continue
            held[letter.id] = ready.letter
            try:
                await connection.send(ready.message, post.sender, ready.to)
            except Refused as error:
                why = f"The mail server refused it: {error.provider_text}"
                await self.db.write(letters.end, ready.letter, State.FAILED, why)
            except PutOff as error:
                await self.db.write(_again, ready.letter, error)
                if isinstance(error, Lost):
                    raise
            else:
                await self.db.write(letters.end, ready.letter, State.SENT)
                taken += 1
        return taken

    def _preparing(self, tx: Transaction, letter: Letter, sender: Address) -> Ready | None:
        """A claimed letter, addressed and written; None where it is not to leave now."""
        user = users.find(tx, letter.project, letter.user)
        wanted = user is not None and not user.is_gone
        to = _mailbox(user) if user and wanted else None
        said = self._said(tx, letter, user) if user and to else None
        if user is None or to is None or said is None:
            failed = wanted and to is None
            letters.end(tx, letter, *(State.FAILED, NO_ADDRESS) if failed else (State.VOID, None))
            return None
        held, due = letters.address(tx, letter, to.addr_spec)
        if held is None:  # the lease ran out, and another worker has it
            return None
        if due is not None:
            letters.put_off(tx, held, due, ENOUGH)
            return None
        about = {"product": self.product, "project": projects.get(tx, letter.project).name}
        name = user.profile.label
        message = composed(letter, sender, to, name=name, now=tx.now, **about, **said)
        return Ready(held, to, message)

    def _said(self, tx: Transaction, letter: Letter, user: User) -> Mapping[str, str] | None:
        """What this letter says beside the names; None where nobody wants it any more."""
        match letter.template:
            case Template.INVITATION:
                return self._invited(tx, letter, user)
            case Template.ACTIVE:
                return {} if user.is_active else None
            case Template.NEEDED:
                return self._needed(tx, letter, user)

    def _invited(self, tx: Transaction, letter: Letter, user: User) -> Mapping[str, str] | None:
        found = invitations.of(tx, user)
        current = found is not None and found.epoch == letter.data["epoch"]
        if found is None or not current or found.standing(tx.now) in OVER:
            return None
        url, ends = inviting.link(tx, self.hasher, self.base_url, found)
        return {"link": url, "ends": moment(ends)}

    def _needed(self, tx: Transaction, letter: Letter, user: User) -> Mapping[str, str] | None:
        """The link that lets the flow go on; None where none waits (P1)."""
        connector = connectors.find(tx, letter.project, letter.data["connector"])
        if connector is None or not pauses.waits(tx, letter.project, user.id, connector.id):
            return None
        asked = linking.made(
            tx, letter.project, Purpose.CONNECT, "broker", user=user.id, connector=connector.id
        )
        url = f"{self.base_url}/connect/{asked.id}"
        mine = f"{self.base_url}/connections?project={letter.project}"
        said = {"connector": connector.name, "link": url, "connections": mine}
        return said | {"ends": moment(asked.expires_at)}

    def _rest(self) -> None:
        course = self.course
        rest = min(REST_S * 2**course.troubles, LONGEST_REST_S)
        course.rests_until = asyncio.get_running_loop().time() + rest
        course.troubles = min(course.troubles + 1, 10)


OVER = (Standing.USED, Standing.WITHDRAWN)


def _mailbox(user: User) -> Address | None:
    try:
        return smtp.address(user.profile.email)
    except ValueError:
        return None


def _again(tx: Transaction, letter: Letter, error: PutOff) -> None:
    """Up the ladder; at its end the letter has failed, and an administrator may resend it."""
    due = letter.next_try(tx.now)
    if due is None:
        why = f"The mail server put it off for days: {error.provider_text}"
        letters.end(tx, letter, State.FAILED, why)
    else:
        letters.put_off(tx, letter, due, error.provider_text, tries=1)


def _told(task: asyncio.Task[int]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("delivery failed", exc_info=error)
