"""What stands above every page: detached people, letters that wait, directories in trouble."""

from __future__ import annotations

from broker.db.database import Database
from broker.domain.clock import DAY
from broker.domain.webhooks import State
from broker.service.overseeing import Overseeing
from broker.service.removing import Removing
from broker.store import webhooks
from tests.broker.service.calling import office, outward
from tests.pushing import calling, house
from tests.watching import Watched, scans


async def test_nothing_waits_in_an_empty_house(db: Database) -> None:
    """Where there is nothing to see to, nothing is told."""
    at = await house(db)
    notices = await Overseeing(db, delivers=False).notices(at.project)
    assert (notices.detached, notices.letters, list(notices.troubled)) == (None, None, [])


async def test_letters_wait_where_nobody_delivers_them(db: Database) -> None:
    """Letters are told while there is no mail server, with the oldest; with one they leave."""
    at = await house(db)
    async with calling(at) as push:
        await push.user("kim")
        await push.user("pat")
    notices = await Overseeing(db, delivers=False).notices(at.project)
    assert notices.letters is not None
    assert notices.letters.count == 2
    assert 0 <= notices.letters.since <= notices.now
    assert (await Overseeing(db, delivers=True).notices(at.project)).letters is None


async def test_detached_people_with_their_deadline(db: Database) -> None:
    """Safety 12: who is left of a deleted directory, and when the first of them is suspended."""
    at = await house(db)
    async with calling(at, "Acme") as push:
        await push.user("kim")
        await push.user("pat")
    await Removing(db, at.licensing).delete(at.administrator, push.directory.id, "Acme")
    notices = await Overseeing(db, delivers=True).notices(at.project)
    assert notices.detached is not None
    assert notices.detached.count == 2
    assert notices.detached_until == notices.detached.since + 30 * DAY


async def test_webhooks_that_nothing_is_sent_to(db: Database) -> None:
    """After 50 failures, or a 410, administrators see the webhook above every page until somebody
    enables it; those of another project are not told of.
    """
    here, other = await office(db, egress := outward()), await office(db, egress, "other")
    (first, _), (second, _), _ = [await here.hook("https://flows.acme.example") for _ in range(3)]
    off = (
        first.turned(State.PAUSED, 1, "status-500"),
        second.turned(State.DISABLED, 1, "status-410"),
    )
    for each in off:
        await db.write(webhooks.change, each)
    overseeing = Overseeing(db, delivers=True)
    assert list((await overseeing.notices(here.project)).stopped) == [*off]
    assert list((await overseeing.notices(other.project)).stopped) == []
    for each in off:
        await here.webhooks.enable(here.caller, each.id)
    assert list((await overseeing.notices(here.project)).stopped) == []
    await egress.aclose()


async def test_it_costs_no_look_at_everybody(db: Database) -> None:
    """It stands on every page, so no statement of it walks a table."""
    at = await house(db)
    watched = Watched(db)
    await Overseeing(watched, delivers=False).notices(at.project)
    assert not any(scans(plan) for plan in await watched.plans())
