"""Letters leave by SMTP: each at least once, and never to whom they are no longer for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from broker.db.seal import Hasher
from broker.domain.clock import DAY, HOUR, MINUTE
from broker.domain.letters import TRIES, State
from broker.domain.users import Status
from broker.service import delivering
from broker.service.delivering import ENOUGH, HANDFUL, NO_ADDRESS, Delivering
from broker.service.delivering import Post as Handed
from broker.store import letters
from providers.smtp import Server, address
from tests import pushing
from tests.clocks import MovableClock
from tests.posting import DROPPED, TAKEN, Post, certificate, html_of, receiving, text_of, with_tls
from tests.pushing import House, Pusher
from tests.scene import Scene
from tests.stepping import World
from tests.waiting import until

BASE_URL = "https://broker.acme.example"
HASHER = Hasher(b"k" * 32)  # the house's


@pytest.fixture
async def push(house: House) -> AsyncIterator[Pusher]:
    """An identity provider's side of a directory."""
    async with pushing.calling(house) as push:
        yield push


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    """A mail server that takes everything, until told otherwise."""
    async with receiving() as post:
        yield post


def delivery(house: House, url: str | None, **server: Any) -> Delivering:
    """The broker's side, in the process of a replica."""
    handed = None
    if url is not None:
        found = replace(Server.parse(url), **{"patience_s": 5.0, **server})
        handed = Handed(found, address("Acme <flows@acme.example>"))
    return Delivering(house.db, HASHER, "Smart Flows", BASE_URL, handed)


async def invited(push: Pusher, name: str = "kim", **more: Any) -> str:
    """Somebody the directory pushed; their id."""
    mail = {"emails": [{"value": f"{name}@acme.example", "primary": True}]}
    return str((await push.user(name, **(mail | more)))["id"])


async def states(house: House) -> list[tuple[str, str | None]]:
    """State and sentence of every letter, the oldest first."""
    found = await house.rows(
        "SELECT state, error FROM letters WHERE project_id = :project ORDER BY id"
    )
    return [(each["state"], each["error"]) for each in found]


async def test_a_letter_is_text_and_html_and_says_what_counts(
    house: House, push: Pusher, post: Post
) -> None:
    """R127, c.1: product, project, name, link and expiry, twice; headers that are ours alone."""
    await invited(push, displayName="Kim <b>Lee</b> & Co")
    assert await delivery(house, post.url).deliver() == 1
    [letter], [row] = post.letters, await house.rows("SELECT * FROM letters")
    assert letter["To"] == post.recipients[0] == "kim@acme.example"
    assert letter["From"] == "Acme <flows@acme.example>"
    assert letter["Subject"] == "You are invited to Smart Flows"
    assert letter["Message-ID"] == f"<{row['id']}@acme.example>"
    assert letter["Auto-Submitted"] == "auto-generated"
    [link] = post.links()
    for words in (text_of(letter), html_of(letter)):
        assert "Smart Flows" in words
        assert "default" in words
        assert link in words
        assert "UTC" in words
    assert "<b>" not in html_of(letter)
    assert (row["state"], row["address"]) == ("sent", "kim@acme.example")


@pytest.mark.parametrize(
    "said", ["Win https://evil.example", "x\r\nBcc: lee@acme.example", "y" * 90]
)
async def test_a_name_writes_nothing_into_a_letter(
    house: House, push: Pusher, post: Post, said: str
) -> None:
    """Safety 13: no URL, no line break, 64 characters; and no header (RFC 5322, 2.2)."""
    await invited(push, displayName=said)
    await delivery(house, post.url).deliver()
    [letter] = post.letters
    assert post.recipients == ["kim@acme.example"]
    assert letter["Bcc"] is None
    assert "evil.example" not in text_of(letter) + html_of(letter)
    assert "y" * 65 not in text_of(letter)


async def test_once_however_often_one_looks(house: House, push: Pusher, post: Post) -> None:
    """R127: a letter that was taken is not sent again, by this replica or by another."""
    await invited(push)
    one, other = delivery(house, post.url), delivery(house, post.url)
    await asyncio.gather(one.deliver(), other.deliver(), one.deliver(), other.deliver())
    assert len(post.letters) == 1


async def test_without_a_mail_server_letters_wait(house: House, push: Pusher) -> None:
    """README "People": nothing is lost, and the link can be handed over instead."""
    await invited(push)
    waiting = delivery(house, None)
    await waiting.begin()
    assert await waiting.deliver() == 0
    assert await states(house) == [("waiting", None)]


async def test_a_refusal_is_for_good(house: House, push: Pusher, post: Post) -> None:
    """550: that letter has failed, with the server's sentence; the others go on."""
    post.to["kim@acme.example"] = "550 no such person"
    kim = await invited(push)
    await invited(push, "lee")
    assert await delivery(house, post.url).deliver() == 1
    assert await delivery(house, post.url).deliver() == 0
    why = "The mail server refused it: no such person"
    assert await states(house) == [("failed", why), ("sent", None)]
    post.to.clear()
    await house.licensing.invite(house.administrator, kim)  # an administrator resends it (U18)
    assert await delivery(house, post.url).deliver() == 1
    assert post.recipients == ["lee@acme.example", "kim@acme.example"]


async def test_what_is_put_off_is_tried_again(
    house: House, push: Pusher, post: Post, clock: MovableClock
) -> None:
    """451: up the ladder, with the same link and Message-ID; in the end it has failed."""
    post.content["*"] = "451 greylisted"
    await invited(push)
    for tries, wait in enumerate((MINUTE, 5 * MINUTE, 15 * MINUTE), 1):
        assert await delivery(house, post.url).deliver() == 0
        assert await states(house) == [("waiting", "greylisted")]
        assert post.connections == tries
        clock.advance(wait - MINUTE // 2)
        assert await delivery(house, post.url).deliver() == 0
        clock.advance(MINUTE // 2)
    post.content.clear()
    assert await delivery(house, post.url).deliver() == 1
    assert await states(house) == [("sent", None)]


async def test_after_days_it_has_failed(
    house: House, push: Pusher, post: Post, clock: MovableClock
) -> None:
    """451 again and again: the letter fails with the last sentence, and is not sent any more."""
    post.content["*"] = "451 greylisted"
    await invited(push)
    for _ in range(TRIES):
        await delivery(house, post.url).deliver()
        clock.advance(4 * HOUR)
    assert await states(house) == [("failed", "The mail server put it off for days: greylisted")]


async def test_a_connection_that_drops_after_data(
    house: House, push: Pusher, post: Post, clock: MovableClock
) -> None:
    """Nobody knows whether it was taken: it is sent again, and is the same letter; the others of
    its handful are not to blame.
    """
    await invited(push)
    await invited(push, "lee")
    post.content["kim@acme.example"] = DROPPED
    assert await delivery(house, post.url).deliver() == 0
    assert await states(house) == [
        ("waiting", "The mail server closed the connection."),
        ("waiting", "The mail server closed the connection."),
    ]
    assert await delivery(house, post.url).deliver() == 1  # Lee's at once, Kim's up the ladder
    post.content.clear()
    clock.advance(MINUTE)
    assert await delivery(house, post.url).deliver() == 1
    assert post.recipients == ["kim@acme.example", "lee@acme.example", "kim@acme.example"]
    first, _, again = post.letters
    assert first["Message-ID"] == again["Message-ID"]
    assert len(set(post.links())) == 2  # one for each of the two people


async def test_a_server_that_takes_too_long(
    house: House, push: Pusher, post: Post, clock: MovableClock
) -> None:
    """Beyond the deadline the letter may have been taken: again later, with the same Message-ID
    and the same link.
    """
    done = asyncio.Event()

    async def slowly() -> str:
        await done.wait()
        return TAKEN

    post.content["*"] = slowly
    await invited(push)
    assert await delivery(house, post.url, patience_s=0.3).deliver() == 0
    assert await states(house) == [("waiting", "The mail server did not answer in time.")]
    done.set()
    post.content.clear()
    clock.advance(MINUTE)
    assert await delivery(house, post.url).deliver() == 1
    assert len({each["Message-ID"] for each in post.letters}) == 1
    assert len(set(post.links())) == 1


async def test_a_server_with_a_bad_certificate(house: House, push: Pusher, tmp_path: Any) -> None:
    """No letter goes where TLS cannot be trusted, and none is to blame: all wait, with the
    reason.
    """
    await invited(push)
    async with receiving(tls_context=with_tls(certificate(tmp_path))) as post:
        assert await delivery(house, post.url).deliver() == 0
    [(state, why)] = await states(house)
    assert state == "waiting"
    assert "certificate of 127.0.0.1 is not trusted" in (why or "")
    async with receiving() as post:
        assert await delivery(house, post.url).deliver() == 1


async def test_trouble_makes_it_rest(house: House, push: Pusher, post: Post) -> None:
    """A server that is down is not asked each second: the chore rests, longer each time."""
    await invited(push)
    url = post.url
    async with receiving() as gone:
        nobody = gone.url
    resting = delivery(house, nobody)
    await resting.begin()
    await until(lambda: resting.course.troubles)
    until_then = resting.course.rests_until
    await resting.begin()
    await resting.landed()
    assert (resting.course.troubles, resting.course.rests_until) == (1, until_then)
    assert delivering.REST_S < delivering.LONGEST_REST_S
    working = delivery(house, url)
    await working.begin()
    await until(lambda: post.letters)
    await working.landed()
    assert await states(house) == [("sent", None)]


async def test_nobody_without_an_address(house: House, push: Pusher, post: Post) -> None:
    """The letter fails with that reason, and the person's page tells it."""
    for name, emails in (("kim", []), ("lee", [{"value": "a@b.example,c@d.example"}])):
        await invited(push, name, emails=emails)
    assert await delivery(house, post.url).deliver() == 0
    assert await states(house) == [("failed", NO_ADDRESS)] * 2
    assert post.connections == 1


async def test_at_most_three_a_day_to_one_address(
    house: House, push: Pusher, post: Post, clock: MovableClock
) -> None:
    """Safety 13: however many people share an address, and however it is spelt, the fourth
    letter waits for the next day.
    """
    for number in range(5):
        spelt = "Team@acme.example" if number % 2 else "team@Acme.example"
        await invited(push, f"user-{number}", emails=[{"value": spelt}])
    one, other = delivery(house, post.url), delivery(house, post.url)
    assert sum(await asyncio.gather(one.deliver(), other.deliver())) == 3
    assert [error for _, error in await states(house)].count(ENOUGH) == 2
    clock.advance(DAY - HOUR)
    assert await delivery(house, post.url).deliver() == 0
    clock.advance(HOUR + MINUTE)
    assert await delivery(house, post.url).deliver() == 2


async def ended(_: House, push: Pusher, id: str) -> None:
    await push.patch(f"/Users/{id}", {"op": "replace", "path": "active", "value": False})


async def deleted(_: House, push: Pusher, id: str) -> None:
    await push("DELETE", f"/Users/{id}")


async def came_in(house: House, _: Pusher, id: str) -> None:
    await house.log_in(id)


@pytest.mark.parametrize("happens", [ended, deleted, came_in])
async def test_a_letter_nobody_needs_is_void(
    house: House, push: Pusher, post: Post, happens: Callable[..., Any]
) -> None:
    """Safety 8, U10, U15: the letter of an invitation that ended is never sent."""
    await happens(house, push, await invited(push))
    assert await delivery(house, post.url).deliver() == 0
    assert await states(house) == [("void", None)]
    assert post.letters == []


async def test_it_is_looked_at_again_just_before(house: House, push: Pusher, post: Post) -> None:
    """Whoever goes while the handful is on its way gets no letter any more."""
    await invited(push)
    lee = await invited(push, "lee")

    async def meanwhile() -> None:
        await house.licensing.suspend(house.administrator, lee)

    post.content["kim@acme.example"] = meanwhile
    assert await delivery(house, post.url).deliver() == 1
    assert await states(house) == [("sent", None), ("void", None)]


async def test_you_are_active_now(house: House, push: Pusher, post: Post) -> None:
    """U6: whoever is promoted from the queue is told; whoever comes in by themselves is not."""
    await house.licensing.capacity(house.administrator, 1)
    kim, lee = await invited(push), await invited(push, "lee")
    await house.log_in(kim)
    await house.log_in(lee)
    await house.licensing.suspend(house.administrator, kim)
    assert (await house.person(lee)).status is Status.ACTIVE
    assert await delivery(house, post.url).deliver() == 1
    assert post.recipients == ["lee@acme.example"]
    assert post.letters[0]["Subject"] == "You are active in Smart Flows now"
    assert "a license has become free" in text_of(post.letters[0])


async def test_another_address_another_letter(house: House, push: Pusher, post: Post) -> None:
    """c.1, edge case: e-mail changed before acceptance: the old link is dead, the new address is
    invited; what changes anything else changes nothing here.
    """
    kim = await invited(push)
    await delivery(house, post.url).deliver()
    change = {"op": "replace", "path": "emails[primary eq true].value", "value": "k@acme.example"}
    for operation in (change, change, {"op": "replace", "path": "title", "value": "Controller"}):
        answer = await push.patch(f"/Users/{kim}", operation)
        assert answer.status_code == 200, answer.text
    await delivery(house, post.url).deliver()
    assert post.recipients == ["kim@acme.example", "k@acme.example"]
    old, new = post.links()
    assert old != new
    standing = await house.rows("SELECT epoch, voided_at FROM invitations ORDER BY epoch")
    assert [(each["epoch"], each["voided_at"] is None) for each in standing] == [
        (1, False),
        (2, True),
    ]
    await house.log_in(kim)
    await push.patch(f"/Users/{kim}", change | {"value": "kim@acme.example"})
    assert await delivery(house, post.url).deliver() == 0


async def test_a_lease_that_ran_out_reports_nothing(
    house: House, push: Pusher, clock: MovableClock
) -> None:
    """Two workers that both took a letter for theirs leave one outcome, the later one's."""
    await invited(push)
    [mine] = await house.db.write(letters.claim, HANDFUL)
    assert await house.db.write(letters.claim, HANDFUL) == []
    clock.advance(letters.LEASE + 1)
    [theirs] = await house.db.write(letters.claim, HANDFUL)
    await house.db.write(letters.end, mine, State.FAILED, "too late")
    assert await house.db.write(letters.address, mine, "kim@acme.example") == (None, None)
    await house.db.write(letters.end, theirs, State.SENT)
    assert await states(house) == [("sent", None)]


async def test_a_thousand_letters(house: House, push: Pusher, post: Post) -> None:
    """Each arrives once; a handful shares a connection."""
    count = 1000
    for some in range(0, count, 50):
        await asyncio.gather(*(invited(push, f"user-{some + n}") for n in range(50)))
    assert await delivery(house, post.url).deliver() == count
    assert sorted(post.recipients) == sorted(f"user-{n}@acme.example" for n in range(count))
    assert len({each["Message-ID"] for each in post.letters}) == count
    assert len(set(post.links())) == count
    assert post.connections == count // HANDFUL


async def test_a_flow_needs_you(scene: Scene, at: World, post: Post, clock: MovableClock) -> None:
    """P1: the letter holds the link that lets the flow go on; once nothing waits, none leaves."""
    profile = replace(scene.user.profile, email="kim@acme.example")
    await at.change(scene.user, profile=profile)
    await scene.wait()
    handed = Handed(Server.parse(post.url), address("Acme <flows@acme.example>"))
    letting_know = Delivering(at.db, at.hasher, "Smart Flows", BASE_URL, handed)
    assert await letting_know.deliver() == 1
    [letter] = post.letters
    [link] = await at.rows("SELECT id FROM links")
    assert letter["Subject"] == "A flow needs you at Salesforce"
    for words in (text_of(letter), html_of(letter)):
        assert f"{BASE_URL}/connect/{link['id']}" in words
        assert f"{BASE_URL}/connections?project={at.project}" in words
    clock.advance(DAY)
    await scene.wait(step="s5")
    await scene.sign_in()
    assert await letting_know.deliver() == 0
    [voided] = await at.rows("SELECT id FROM letters WHERE state = 'void'")
    assert voided["id"] not in letter["Message-ID"]
