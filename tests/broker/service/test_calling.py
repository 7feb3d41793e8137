"""Events leave for the receivers of webhooks: signed, each at least once, nobody held up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
import standardwebhooks

from broker.db.database import Database
from broker.db.seal import Seal
from broker.domain.clock import DAY, HOUR, MINUTE, SECOND
from broker.domain.errors import Conflict
from broker.domain.webhooks import FAILURES, DeliveryState, State, Webhook
from broker.service import calling
from broker.service.calling import HANDFUL
from broker.store import deliveries, webhooks
from broker.wiring import LOOPBACK
from providers.egress import Egress
from tests.broker.service.calling import Office, office, outward
from tests.clocks import MovableClock
from tests.receiving import OK, SILENT, Receiver, receiving
from tests.waiting import until
from tests.watching import Watched, scans


@pytest.fixture
async def at(db: Database) -> AsyncIterator[Office]:
    """A project with webhooks on each engine."""
    egress = outward()
    made = await office(db, egress)
    yield made
    await made.calling.landed()
    await egress.aclose()


async def test_a_receiver_checks_what_it_gets_by_the_outside_library(at: Office) -> None:
    """api-conventions 6: a message is the object of the feed, its id the event's, and the package
    `standardwebhooks` finds its signature and time good; with another secret it does not.
    """
    async with receiving() as receiver:
        webhook, secret = await at.hook(receiver.url)
        (id,) = await at.happen("user.activated")
        await at.round()
        (message,) = receiver.heard
        said = message.verified(secret)
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            message.verified("whsec_" + "A" * 44)
    assert (message.id, said["id"], said["sequence"], said["type"]) == (id, id, 1, "user.activated")
    assert said["data"] == {"user_id": "usr_1"}
    assert message.headers["content-type"] == "application/json"
    (told,) = await at.told(webhook)
    assert (told.state, told.status, told.attempt) == (DeliveryState.DELIVERED, OK, 1)


async def test_it_is_told_of_its_types_alone_and_from_when_it_was_made(at: Office) -> None:
    """`types` are patterns; what was published before the webhook was made is not for it."""
    await at.happen("user.invited", "pause.ready")
    await at.publishing.publish()
    async with receiving() as receiver:
        await at.hook(receiver.url, "pause.*", "user.activated")
        await at.happen("user.invited", "pause.ready", "user.activated", "connector.deleted")
        await at.round()
    assert sorted(receiver.types) == ["pause.ready", "user.activated"]


async def test_both_secrets_sign_for_a_day(at: Office, clock: MovableClock) -> None:
    """Two secrets in rotation: a receiver that has either understands each message for 24 hours,
    then only the new one does.
    """
    async with receiving() as receiver:
        webhook, old = await at.hook(receiver.url)
        _, new = await at.webhooks.rotate(at.caller, webhook.id)
        await at.happen("user.invited")
        await at.round()
        for secret in (old, new):
            assert receiver.heard[0].verified(secret)["type"] == "user.invited"
        clock.advance(DAY)
        await at.happen("user.invited")
        await at.round()
    assert [len(each.headers["webhook-signature"].split()) for each in receiver.heard] == [2, 1]


async def test_two_secrets_sign_and_never_three(at: Office) -> None:
    """docs/events.md: whoever rotates again within the day ends the first secret at once."""
    async with receiving() as receiver:
        webhook, first = await at.hook(receiver.url)
        _, second = await at.webhooks.rotate(at.caller, webhook.id)
        _, third = await at.webhooks.rotate(at.caller, webhook.id)
        await at.happen("user.invited")
        await at.round()
        for secret in (second, third):
            assert receiver.heard[0].verified(secret)
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            receiver.heard[0].verified(first)


async def test_the_ladder_of_tries(at: Office, clock: MovableClock) -> None:
    """5 s, 1 min, 10 min, 1 h, 6 h, then daily to three days: eight tries, one id; then it has
    failed, and says what the receiver answered.
    """
    steps = (5 * SECOND, MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY, DAY)
    async with receiving(Receiver(lambda _: 503)) as receiver:
        webhook, _ = await at.hook(receiver.url)
        (id,) = await at.happen("user.invited")
        await at.round()
        for tries, step in enumerate(steps, 1):
            clock.advance(step - SECOND)
            await at.round()
            assert len(receiver.heard) == tries
            clock.advance(SECOND)
            await at.round()
        clock.advance(2 * DAY)
        await at.round()
    assert receiver.times == {id: 8}
    told = (await at.told(webhook, DeliveryState.FAILED))[0]
    assert (told.event, told.status, told.attempt) == (id, 503, 8)


async def test_tries_that_failed_together_do_not_come_together(at: Office) -> None:
    """Jitter: a tenth of the wait is spread."""
    spread = iter((0.0, 1.0))
    jittery = replace(at.calling, spread=lambda: next(spread))
    async with receiving(Receiver(lambda _: 500)) as receiver:
        webhook, _ = await at.hook(receiver.url)
        await at.happen("user.invited", "user.invited")
        await replace(at, calling=jittery).round()
    first, second = sorted(each.due_at for each in await at.told(webhook))
    assert second - first >= SECOND // 2


@pytest.mark.parametrize("status", [204, 299])
async def test_any_2xx_takes_it(at: Office, status: int) -> None:
    """2xx counts, whatever the receiver says beside it."""
    async with receiving(Receiver(lambda _: status)) as receiver:
        webhook, _ = await at.hook(receiver.url)
        await at.happen("user.invited")
        await at.round()
    assert [each.state for each in await at.told(webhook)] == [DeliveryState.DELIVERED]


async def test_a_redirect_is_a_failure_and_is_not_followed(at: Office) -> None:
    """Safety 19: no redirects; the place it names hears nothing."""
    async with receiving() as other, receiving(Receiver(lambda _: 307)) as receiver:
        receiver.more = f"Location: {other.url}\r\n"
        webhook, _ = await at.hook(receiver.url)
        await at.happen("user.invited")
        await at.round()
    assert (len(receiver.heard), other.heard) == (1, [])
    assert [each.status for each in await at.told(webhook)] == [307]


async def test_an_answer_without_end_is_cut_and_not_kept(at: Office) -> None:
    """The body of an answer is nobody's: a large one takes the message all the same."""
    async with receiving() as receiver:
        receiver.text = b"x" * 1_000_000
        webhook, _ = await at.hook(receiver.url)
        await at.happen("user.invited")
        await at.round()
    assert [each.state for each in await at.told(webhook)] == [DeliveryState.DELIVERED]


async def test_a_short_answer_keeps_the_connection(at: Office) -> None:
    """Ten events in turn need no connection each: a handful is all there ever is."""
    async with receiving() as receiver:
        await at.hook(receiver.url)
        await at.happen(*["user.invited"] * 10 * HANDFUL)
        await at.round()
    assert len(receiver.times) == 10 * HANDFUL
    assert receiver.lines <= HANDFUL


async def test_410_switches_it_off(at: Office) -> None:
    """410 Gone disables the webhook: no further try, an event and a line in the audit; what
    happens meanwhile is not for it. Enabled again it goes on with what it did not take.
    """
    receiver = Receiver(lambda _: 410)
    async with receiving(receiver):
        webhook, _ = await at.hook(receiver.url, "user.*")
        (id,) = await at.happen("user.invited")
        await at.round()
        await at.happen("user.activated")
        await at.round()
        stands = await at.now(webhook)
        assert (stands.state, stands.reason) == (State.DISABLED, "status-410")
        assert [message.id for message in receiver.heard] == [id]
        with pytest.raises(Conflict):
            await at.webhooks.ping(at.caller, webhook.id)
        receiver.answer = lambda _: OK
        await at.webhooks.enable(at.caller, webhook.id)
        await at.round()
    assert [message.id for message in receiver.heard] == [id, id]
    feed = await at.publishing.feed(at.caller, 0, types={"webhook.disabled"})
    assert [event.data for event in feed.items] == [{"webhook": webhook.id, "reason": "status-410"}]


async def test_50_failures_in_a_row_pause_it_and_nothing_is_lost(
    at: Office, clock: MovableClock
) -> None:
    """After 50 tries in a row it is paused, with an event; what happens meanwhile waits, and once
    it is enabled again all of it is told.
    """
    receiver = Receiver(lambda _: 500)
    async with receiving(receiver):
        webhook, _ = await at.hook(receiver.url, "user.*")
        ids = await at.happen(*["user.invited"] * FAILURES)
        await at.publishing.publish()
        for _ in range(FAILURES):
            assert (await at.now(webhook)).state is State.ENABLED
            await at.round()
            clock.advance(10 * MINUTE)
        tried = len(receiver.heard)
        await at.round()
        stands = await at.now(webhook)
        assert (stands.state, stands.failures, stands.reason) == (
            State.PAUSED,
            FAILURES,
            "status-500",
        )
        ids += await at.happen("user.activated")
        await at.round()
        assert len(receiver.heard) == tried == FAILURES + HANDFUL - 1
        receiver.answer = lambda _: OK
        receiver.heard.clear()
        enabled = await at.webhooks.enable(at.caller, webhook.id)
        assert (enabled.state, enabled.failures) == (State.ENABLED, 0)
        await at.round()
    assert receiver.times == dict.fromkeys(ids, 1)
    feed = await at.publishing.feed(at.caller, 0, types={"webhook.paused"})
    assert [event.data["webhook"] for event in feed.items] == [webhook.id]


async def test_a_receiver_that_fails_is_tried_once_at_a_time(
    at: Office, clock: MovableClock
) -> None:
    """What fails together counts once, so a minute's outage under load pauses nobody; while it
    lasts there is one try, then 5 s, a minute, ten minutes without any. The first answer ends it.
    """
    receiver = Receiver(lambda _: 500)
    async with receiving(receiver):
        webhook, _ = await at.hook(receiver.url)
        await at.happen(*["user.invited"] * 100)
        await at.round()
        assert (len(receiver.heard), (await at.now(webhook)).failures) == (HANDFUL, 1)
        for rest, failures in ((5 * SECOND, 2), (MINUTE, 3), (10 * MINUTE, 4)):
            before = len(receiver.heard)
            await at.round()
            assert len(receiver.heard) == before
            clock.advance(rest)
            await at.round()
            assert (len(receiver.heard), (await at.now(webhook)).failures) == (before + 1, failures)
        receiver.answer = lambda _: OK
        clock.advance(DAY)
        await at.round()
    assert {each.state for each in await at.told(webhook)} == {DeliveryState.DELIVERED}
    assert (await at.now(webhook)).failures == 0


async def test_a_slow_receiver_holds_up_nobody(at: Office) -> None:
    """Fairness: while one receiver takes its messages and says nothing, the others have all of
    theirs; it has a handful of connections and no more.
    """
    async with receiving(Receiver(lambda _: SILENT)) as slow, receiving() as quick:
        await at.hook(slow.url)
        webhook, _ = await at.hook(quick.url)
        await at.happen(*["user.invited"] * 30)
        await at.publishing.publish()
        await at.calling.begin()
        await until(lambda: len(quick.times) == 30)
        assert len(slow.heard) == HANDFUL
        assert len(await until(lambda: _all(at, webhook, 30))) == 30
        for task in at.calling.lines.busy.values():
            task.cancel()
        await asyncio.gather(*at.calling.lines.busy.values(), return_exceptions=True)


async def _all(at: Office, webhook: Webhook, count: int) -> list[object]:
    found = await at.told(webhook, DeliveryState.DELIVERED)
    return [*found] if len(found) == count else []


async def test_more_receivers_than_are_called_at_once(
    at: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process calls twenty receivers at once, so that its connections suffice; the others have
    their turn as soon as one of those has had its own.
    """
    monkeypatch.setattr(calling, "AT_ONCE", 2)
    async with AsyncExitStack() as stack:
        receivers = [await stack.enter_async_context(receiving()) for _ in range(5)]
        for receiver in receivers:
            await at.hook(receiver.url)
        await at.happen("user.invited")
        told = []
        for _ in range(3):
            await at.round()
            told.append(sum(len(receiver.heard) for receiver in receivers))
    assert told == [2, 4, 5]


async def test_a_try_that_nobody_wrote_down_is_made_again_under_the_same_id(
    at: Office, clock: MovableClock
) -> None:
    """At least once: a worker that died after the receiver took it has its lease run out; the next
    one sends the same id, and what the dead one would have said counts no more.
    """
    async with receiving() as receiver:
        webhook, _ = await at.hook(receiver.url)
        (id,) = await at.happen("user.invited")
        await at.publishing.publish()
        place = deliveries.Place(at.project, webhook.id)
        (lost,) = await at.db.write(deliveries.claim, place, 1)
        await at.round()
        assert receiver.heard == []
        clock.advance(deliveries.LEASE + SECOND)
        await at.round()
        assert not await at.db.write(deliveries.ended, lost, DeliveryState.FAILED, 500, None)
    assert [message.id for message in receiver.heard] == [id]
    assert [each.attempt for each in await at.told(webhook, DeliveryState.DELIVERED)] == [2]


async def test_redelivery_has_the_same_id(at: Office) -> None:
    """What was delivered is told once more when an administrator asks, under the same id."""
    async with receiving() as receiver:
        webhook, secret = await at.hook(receiver.url)
        (id,) = await at.happen("user.invited")
        await at.round()
        (told,) = await at.told(webhook)
        again = await at.webhooks.redeliver(at.caller, webhook.id, told.n)
        assert again.state is DeliveryState.WAITING
        await at.round()
    assert receiver.times == {id: 2}
    assert receiver.heard[1].verified(secret) == receiver.heard[0].verified(secret)


async def test_redelivery_begins_anew(at: Office, clock: MovableClock) -> None:
    """What had failed after three days is tried again like something new, from the first step of
    the ladder on: one hiccup does not end it.
    """
    receiver = Receiver(lambda _: 503)
    async with receiving(receiver):
        webhook, _ = await at.hook(receiver.url)
        await at.happen("user.invited")
        for _ in range(10):
            await at.round()
            clock.advance(DAY)
        (told,) = await at.told(webhook, DeliveryState.FAILED)
        await at.webhooks.redeliver(at.caller, webhook.id, told.n)
        await at.round()
        receiver.answer = lambda _: OK
        clock.advance(10 * MINUTE)  # the rest that its failures have earned
        await at.round()
    assert [each.state for each in await at.told(webhook)] == [DeliveryState.DELIVERED]


async def test_what_waited_for_days_survives_a_hiccup(at: Office, clock: MovableClock) -> None:
    """The three days of what waits begin anew once the webhook is enabled again."""
    receiver = Receiver(lambda _: 410)
    async with receiving(receiver):
        webhook, _ = await at.hook(receiver.url)
        await at.happen("user.invited")
        await at.round()
        clock.advance(10 * DAY)
        await at.webhooks.enable(at.caller, webhook.id)
        receiver.answer = lambda _: 503
        await at.round()
        receiver.answer = lambda _: OK
        clock.advance(5 * SECOND)
        await at.round()
    (told, *_) = await at.told(webhook)
    assert (told.state, told.status) == (DeliveryState.DELIVERED, OK)


async def test_redelivery_while_a_try_is_on_its_way(at: Office) -> None:
    """Who asks for another try has one, also while the one before is not answered yet; what comes
    of that counts no more, and it is no try of its own.
    """
    async with receiving() as receiver:
        webhook, _ = await at.hook(receiver.url)
        (id,) = await at.happen("user.invited")
        await at.publishing.publish()
        place = deliveries.Place(at.project, webhook.id)
        (running,) = await at.db.write(deliveries.claim, place, 1)
        await at.webhooks.redeliver(at.caller, webhook.id, running.n)
        assert not await at.db.write(deliveries.ended, running, DeliveryState.DELIVERED, OK, None)
        assert not await at.db.write(deliveries.put_off, running, 0, OK, None)
        await at.round()
    assert receiver.times == {id: 1}
    assert [each.attempt for each in await at.told(webhook, DeliveryState.DELIVERED)] == [2]


async def test_publishing_lets_others_write(at: Office) -> None:
    """The one writer of SQLite is held for 50 events at a time, however many wait (safety 37)."""
    await at.happen(*["user.invited"] * 120)
    watched = Watched(at.db)
    assert await replace(at.publishing, db=watched).publish() == 120
    units = [one.named["last"] for one in watched.asked if "SET events" in one.sql]
    assert units == [50, 100, 120]


async def test_a_ping_is_for_the_one_that_is_tried(at: Office) -> None:
    """`webhook.ping` reaches its webhook whatever its types, and no other, not even one for all."""
    async with receiving() as tried, receiving() as other:
        webhook, _ = await at.hook(tried.url, "pause.*")
        await at.hook(other.url, "*")
        id = await at.webhooks.ping(at.caller, webhook.id)
        await at.round()
    assert ([message.id for message in tried.heard], other.heard) == ([id], [])


async def test_the_address_is_looked_at_in_each_try(at: Office, clock: MovableClock) -> None:
    """Safety 19, 20: the guard looks where the connection is made, every time: a name that comes
    to mean a private address is not called, and no relay is asked.
    """
    meant = ["127.0.0.1"]

    async def resolver(_host: str, _port: int) -> list[str]:
        return meant

    relays = {"site": "http://127.0.0.1:9"}
    egress = Egress(allow=LOOPBACK, relays=relays, resolver=resolver, plain=True)
    there = await office(at.db, egress, "another")
    async with receiving() as receiver:
        port = receiver.url.partition("127.0.0.1:")[2]
        webhook, _ = await there.hook(f"https://flows.acme.example:{port}")
        await there.happen("user.invited")
        for error in ("unreachable", "address-refused"):  # it speaks no TLS
            await there.round()
            (told,) = await there.told(webhook)
            assert (told.state, told.status, told.error) == (DeliveryState.WAITING, None, error)
            meant[:] = ["10.0.0.8"]
            clock.advance(5 * SECOND)
    assert (receiver.lines, receiver.heard) == (1, [])
    await egress.aclose()


async def test_without_its_key_nothing_is_sent_and_nothing_is_a_failure(
    at: Office, clock: MovableClock
) -> None:
    """Promise 12: a secret that cannot be opened now is no fault of the receiver's; with the key
    back the message is signed and goes.
    """
    async with receiving() as receiver:
        webhook, secret = await at.hook(receiver.url)
        await at.happen("user.invited")
        keyless = replace(at.calling, seal=Seal({"k9": b"9" * 32}))
        await replace(at, calling=keyless).round()
        (told,) = await at.told(webhook)
        assert (receiver.heard, told.error) == ([], "key-missing")
        assert (await at.now(webhook)).failures == 0
        clock.advance(MINUTE)
        await at.round()
        assert receiver.heard[0].headers["webhook-signature"]
    assert secret.startswith("whsec_")


async def test_a_round_costs_what_is_due(at: Office) -> None:
    """Behind 200 deliveries that were made, 200 that wait for later and a receiver that is paused,
    a round looks at what is due and no more; no statement of it walks a table of events or
    deliveries.
    """
    async with receiving(Receiver(lambda _: 500)) as down, receiving() as receiver:
        failing, _ = await at.hook(down.url)
        await at.hook(receiver.url)
        await at.happen(*["user.invited"] * 200)
        await at.round()
        await at.db.write(webhooks.change, (await at.now(failing)).turned(State.PAUSED, 1))
        watched = Watched(at.db)
        there = replace(
            at,
            publishing=replace(at.publishing, db=watched),
            calling=replace(at.calling, db=watched),
        )
        await at.happen("user.invited")
        await there.round()
    assert len(receiver.times) == 201
    assert watched.rows < 25
    walked = [
        line for plan in await watched.plans() for line in plan.splitlines() if scans(line.strip())
    ]
    whole = {"webhooks", "ix_events_unpublished"}  # twenty a project; what has no number yet
    assert [line for line in walked if not whole & {*line.split()}] == []


async def test_what_is_deleted_is_told_nothing_more(at: Office) -> None:
    """A deleted webhook: what waited is dropped, its secrets are gone from the row."""
    async with receiving() as receiver:
        webhook, _ = await at.hook(receiver.url)
        await at.webhooks.rotate(at.caller, webhook.id)
        await at.happen("user.invited")
        await at.publishing.publish()
        await at.webhooks.remove(at.caller, webhook.id)
        await at.happen("user.invited")
        await at.round()
    kept = await at.db.read(lambda tx: tx.all("SELECT * FROM webhooks"))
    assert (receiver.heard, [(row["secret"], row["old_secret"]) for row in kept]) == (
        [],
        [(None, None)],
    )
    assert await at.db.read(lambda tx: tx.all("SELECT * FROM deliveries")) == []
