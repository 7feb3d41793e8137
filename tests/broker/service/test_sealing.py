"""Another encryption key: everything opens, all the time, and at the end without the old one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from broker.bootstrap import hasher_of
from broker.db.database import Transaction
from broker.db.seal import Seal, Unreadable
from broker.demo.identity import Client
from broker.demo.people import PEOPLE
from broker.domain.callers import Caller
from broker.domain.directories import Directory
from broker.domain.steps import Token
from broker.domain.tokens import State
from broker.domain.users import User
from broker.service.authorizing import Authorizing
from broker.service.calling import Calling
from broker.service.holding import Holding
from broker.service.licensing import Licensing
from broker.service.programs import Programs
from broker.service.projects import Projects, SignIn
from broker.service.publishing import Publishing
from broker.service.revoking import Revoking
from broker.service.sealing import AT_ONCE, KEPT, NO_KEY, Kept, Sealing
from broker.service.signing import Signing, canonical
from broker.service.signing_in import SigningIn, callback
from broker.service.sources import Sources
from broker.service.vault import Vault
from broker.service.webhooks import Webhooks
from broker.store import directories, jobs, sealed, tokens
from providers.egress import Egress
from providers.oidc import Issuers
from providers.sources.registry import Sources as Kinds
from tests.broker.service.calling import outward
from tests.broker.service.outside import KEYS, PUBLIC_URL, Answer, Outside
from tests.canaries import planted
from tests.detached import is_signed
from tests.pulling import TOKEN, read_from
from tests.pushing import house
from tests.receiving import Message, Receiver, receiving

NEW = {"k2": b"2" * 32}
OLD, BOTH, ONLY = Seal(KEYS), Seal(NEW | KEYS), Seal(NEW)
BROWSER = "the-browser"
OIDC_SECRET = planted("oidc")
SAID: dict[str, object] = {"actionCoupon": 1}


@dataclass(frozen=True, slots=True)
class Told:
    """A webhook with two secrets, and whoever calls its receiver under the new key."""

    receiver: Receiver
    webhooks: Webhooks
    calling: Calling
    id: str
    secrets: tuple[str, str]

    async def pinged(self, caller: Caller) -> Message:
        """What the receiver hears."""
        await self.webhooks.ping(caller, self.id)
        await Publishing(self.calling.db, Holding(self.calling.db)).publish()
        await self.calling.begin()
        await asyncio.gather(*self.calling.lines.busy.values())
        (message,) = self.receiver.heard
        return message


@dataclass(frozen=True, slots=True)
class Filled:
    """Something in every sealed column, written by the product under the first key."""

    world: Outside
    egress: Egress
    connector: str
    user: User
    late: Caller
    callback: Answer
    signed_in: dict[str, str]
    directory: Directory
    told: Told

    def signing_in(self, seal: Seal) -> SigningIn:
        """The sign-in of a process with these keys."""
        db, callers, issuers = self.world.db, self.world.callers, Issuers(self.egress)
        return SigningIn(db, seal, PUBLIC_URL, issuers, callers, Licensing(db))

    def under(self, seal: Seal) -> Outside:
        """The same services in a process with these keys."""
        db, before = self.world.db, self.world.vault
        vault = Vault(db, before.hasher, Programs(before.programs.registry, seal, PUBLIC_URL))
        authorizing = Authorizing(db, before.hasher, vault)
        return replace(self.world, seal=seal, vault=vault, authorizing=authorizing)


@pytest.fixture
async def filled(world: Outside) -> AsyncIterator[Filled]:
    """Connected, half connected, leaving, half signed in, signed, read."""
    db, identity = world.db, world.programs.identity
    connector, user = await world.connector(), await world.person("kim@acme.example")
    await world.authorized(user, connector, PEOPLE[0].user_name)
    gone, late = await world.person("ana@acme.example"), await world.person("lou@acme.example")
    await world.authorized(gone, connector, PEOPLE[1].user_name)
    await db.write(tokens.drop_all, world.project, gone.id, "deprovision")
    session = await world.session(late)
    link = await world.link(late, connector)
    came = await world.sent(link, session, PEOPLE[2].user_name)
    identity.register(Client("broker", OIDC_SECRET, {PUBLIC_URL + callback(world.project)}))
    said = SignIn(identity.issuer, "broker", OIDC_SECRET, "sub=externalId")
    await Projects(db, OLD, world.programs.base_url).change(world.project, by="x", sign_in=said)
    await world.person("pat@acme.example", external_id=PEOPLE[3].external_id)
    directory, _ = await (await house(db)).directory()
    world.programs.hr.tokens.add(TOKEN)
    await read_from(db, directory.id, world.programs, OLD)
    await Signing(db, OLD).public(world.project)
    await hasher_of(db, OLD)
    found = await db.read(directories.get, directory.project, directory.id)
    egress = Egress(origins=[world.programs.base_url])
    async with receiving() as receiver:
        out = outward()
        hooks = Webhooks(db, OLD, out)
        hook, secret = await hooks.add(session, receiver.url, ["webhook.*"])
        secrets = secret, (await hooks.rotate(session, hook.id))[1]
        told = Told(receiver, hooks, Calling(db, ONLY, out), hook.id, secrets)
        made = Filled(world, egress, connector, user, session, came, {}, found, told)
        begun = urlsplit(await made.signing_in(OLD).begin(world.project, "/", BROWSER))
        back = urlsplit(identity.decide(single(begun.query), PEOPLE[3].external_id))
        yield replace(made, signed_in=single(back.query))
        await out.aclose()
    await egress.aclose()


def single(query: str) -> dict[str, str]:
    """The parameters of an address."""
    return {name: values[0] for name, values in parse_qs(query).items()}


async def test_every_sealed_column_opens_under_the_new_key_alone(filled: Filled) -> None:
    """Promise 15, R45: a rotation leaves 0 rows under the old key, and without it a token is given
    out and refreshed, a link and a sign-in that had begun come back, a grant is revoked, a source
    is read, an answer is signed by the same key, and hashes are what they were.
    """
    db, project = filled.world.db, filled.world.project
    shown, hashed = await Signing(db, OLD).public(project), (await hasher_of(db, OLD))("it")
    before = await Sealing(db, BOTH).status()
    assert {column for column, _ in before.rows} == {kept.column.words for kept in KEPT}
    assert before.keys == {"k2": 0, "k1": before.left}
    done, after = await Sealing(db, BOTH).rotate(by="operator")
    assert (done, after.left) == (before.left, 0)
    assert after.keys == {"k2": done, "k1": 0}
    world = filled.under(ONLY)
    token = await world.token(filled.connector, filled.user.id)
    assert world.vault.opened(token).reveal()
    await db.write(lambda tx: tx.run("UPDATE tokens SET expires_at = 1"))
    stood = await world.vault.refreshed(project, filled.connector, filled.user.id)
    assert stood.token is Token.USABLE
    assert (await world.bring(filled.callback, filled.late)).ok
    project, door = filled.world.project, filled.signing_in(ONLY)
    assert (await door.complete(project, filled.signed_in, BROWSER)).cookie
    living = len(world.programs.salesforce.living())
    job = await db.write(jobs.claim)
    assert job is not None
    await Revoking(db, world.vault.programs).revoke(job)
    assert len(world.programs.salesforce.living()) == living - 1
    sources = Sources(Kinds(filled.egress, simulator=world.programs.base_url), ONLY)
    source = await db.write(sources.opened, filled.directory, purpose="pull")
    assert (await source.page(None)).found
    signature = await Signing(db, ONLY).sign(project, SAID)
    assert is_signed(canonical(SAID), signature, [shown])
    message = await filled.told.pinged(filled.late)
    for secret in filled.told.secrets:
        assert message.verified(secret)["type"] == "webhook.ping"
    assert (await hasher_of(db, ONLY))("it") == hashed


async def test_a_value_moved_to_another_place_does_not_open(filled: Filled) -> None:
    """Promise 14, R45: of every sealed column, a value put into any other row or column of the
    database is unreadable there; in its own place it opens.
    """
    rows = {kept.column.words: await first(filled, kept) for kept in KEPT}
    for kept in KEPT:
        row = rows[kept.column.words]
        assert OLD.open(row[kept.column.name], *kept.place(row))
    for here, there in permutations(KEPT, 2):
        row = rows[there.column.words]
        moved = rows[here.column.words][here.column.name]
        with pytest.raises(Unreadable):
            OLD.open(moved, *there.place(row))


async def first(filled: Filled, kept: Kept) -> Any:
    """The first row with a value in a sealed column."""
    found = await filled.world.db.read(sealed.page, kept.column, (), 1)
    return found[0]


async def test_each_batch_is_in_the_audit(filled: Filled) -> None:
    """R46: what is opened to be sealed anew has its line, in the transaction that did it."""
    done, _ = await Sealing(filled.world.db, BOTH).rotate(by="operator")
    written = "SELECT actor FROM audit WHERE action = 'seal.rotated'"
    lines = await filled.world.rows(written)
    assert [line["actor"] for line in lines] == ["operator"] * len(KEPT)
    again, _ = await Sealing(filled.world.db, BOTH).rotate(by="operator")
    assert (done > 0, again) == (True, 0)
    assert await filled.world.rows(written) == lines


async def test_what_no_key_opens_is_left_and_counted(filled: Filled) -> None:
    """K16, promise 12: a row whose key is missing, or that is no sealed value, stops nothing, is
    left as it is, and is counted under its key; with the key back the next rotation takes it.
    """
    db = filled.world.db
    third = Seal({"k3": b"3" * 32})
    lost = await first(filled, KEPT[0])
    await db.write(put, KEPT[0], lost, third.seal(b"lost", *KEPT[0].place(lost)))
    junk = await first(filled, KEPT[1])
    await db.write(put, KEPT[1], junk, b"junk")
    _, standing = await Sealing(db, BOTH).rotate(by="operator")
    assert (standing.left, standing.keys["k1"]) == (2, 0)
    assert (standing.rows["tokens.access_token", "k3"], standing.keys[NO_KEY]) == (1, 1)
    back = Seal(NEW | {"k3": b"3" * 32})
    done, standing = await Sealing(db, back).rotate(by="operator")
    assert (done, standing.left, standing.keys["k3"]) == (1, 1, 0)


def put(tx: Transaction, kept: Kept, row: Any, value: bytes) -> None:
    """Write past the product."""
    assert sealed.replace(tx, kept.column, row, value)


async def test_what_was_written_meanwhile_stays(filled: Filled) -> None:
    """A value that somebody replaced between the look and the write is not undone: compare and
    set; the newer one is left for the next rotation where it needs one.
    """
    db, kept = filled.world.db, KEPT[1]
    row = await first(filled, kept)
    newer = OLD.seal(b"newer", *kept.place(row))
    await db.write(put, kept, row, newer)
    assert not await db.write(sealed.replace, kept.column, row, b"older")
    _, standing = await Sealing(db, BOTH).rotate(by="operator")
    now = await first(filled, kept)
    assert standing.left == 0
    assert BOTH.open(now[kept.column.name], *kept.place(now)) == b"newer"


async def test_a_rotation_that_died_is_gone_on_with(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 15: whole batches are kept, the one that failed is undone, the next rotation does the
    rest and nothing twice.
    """
    db = filled.world.db
    many = AT_ONCE * 2 + 1
    await db.write(crowd, filled.world.project, filled.connector, many)
    seen = Counter[str]()

    def dying(plain: bytes, *place: str) -> bytes:
        seen.update([place[1]])
        if seen["tokens"] > AT_ONCE + 7:
            raise RuntimeError
        return Seal(NEW).seal(plain, *place)

    monkeypatch.setattr(BOTH, "seal", dying)
    with pytest.raises(RuntimeError):
        await Sealing(db, BOTH).rotate(by="operator")
    monkeypatch.undo()
    half = await Sealing(db, BOTH).status()
    assert half.keys["k2"] == AT_ONCE
    done, standing = await Sealing(db, BOTH).rotate(by="operator")
    assert (done, standing.left) == (half.left, 0)


def crowd(tx: Transaction, project: str, connector: str, many: int) -> None:
    """People who hold an access token each."""
    for n in range(many):
        token = tokens.absent(tx, project, connector, f"usr_{n:05}")
        value = OLD.seal(b"held", project, "tokens", token.id, "access_token")
        tokens.save(tx, replace(token, state=State.VALID, access=value), due_at=None)
