"""An invitation's link: what it is good for, and what it comes to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from broker.db.seal import Hasher
from broker.domain.callers import Caller, Kind
from broker.domain.clock import DAY, SECOND
from broker.domain.errors import Conflict, Forbidden, NotFound, Unknown
from broker.domain.users import Status
from broker.service.inviting import Inviting
from broker.store import projects
from tests import pushing
from tests.clocks import MovableClock
from tests.pushing import House, Pusher

BASE_URL = "https://broker.acme.example"
HASHER = Hasher(b"k" * 32)


@pytest.fixture
async def push(house: House) -> AsyncIterator[Pusher]:
    """An identity provider's side of a directory."""
    async with pushing.calling(house) as push:
        yield push


@pytest.fixture
def inviting(house: House) -> Inviting:
    """The service under test."""
    return Inviting(house.db, HASHER, house.licensing, BASE_URL)


async def secret_of(inviting: Inviting, house: House, id: str) -> str:
    """What an administrator copies."""
    link = await inviting.link(house.administrator, id)
    return link.url.removeprefix(f"{BASE_URL}/invitations/")


async def reason(inviting: Inviting, secret: str) -> str | None:
    """Why a link lets nobody in: the same for who looks and who presses the button."""
    with pytest.raises(Conflict) as looked:
        await inviting.page(secret, None)
    with pytest.raises(Conflict) as pressed:
        await inviting.accept(secret, None)
    assert looked.value.reason == pressed.value.reason
    assert looked.value.next
    return looked.value.reason


def as_(user_id: str, house: House, **more: str) -> Caller:
    """Somebody's session."""
    said = {"asserted_by": "issuer", **more}
    return Caller(Kind.PERSON, house.project, user_id, user_id=user_id, session="s", **said)  # type: ignore[arg-type]  # words alone


async def with_issuer(house: House) -> None:
    """The project has an identity provider from now on."""
    issuer = ("https://login.example", "broker", None, None)
    await house.db.write(projects.set_oidc, house.project, *issuer)


async def test_whoever_accepts_comes_in(house: House, push: Pusher, inviting: Inviting) -> None:
    """U3, R124: accepting activates, once; looking does not, however often."""
    kim = (await push.user("kim", displayName="Kim Lee"))["id"]
    secret = await secret_of(inviting, house, kim)
    for _ in range(3):
        opened = await inviting.page(secret, None)
    assert (opened.name, opened.project_name, opened.must_sign_in) == ("Kim Lee", "default", False)
    assert (await house.person(kim)).status is Status.INVITED
    login = await inviting.accept(secret, None)
    assert (login.user.status, login.message) == (Status.ACTIVE, "You are active now.")
    assert await reason(inviting, secret) == "invitation-used"


async def test_no_license_no_way_in_but_a_place(
    house: House, push: Pusher, inviting: Inviting
) -> None:
    """U4, R129: the place is said, and whom to ask, with nobody's name."""
    await house.licensing.capacity(house.administrator, 0)
    ids = [(await push.user(name))["id"] for name in ("kim", "lee")]
    logins = [await inviting.accept(await secret_of(inviting, house, id), None) for id in ids]
    assert [login.place for login in logins] == [1, 2]
    assert "number 2 in the queue; ask your account admin" in logins[1].message


async def test_pressing_twice_at_once_comes_in_once(
    house: House, push: Pusher, inviting: Inviting
) -> None:
    """D2: single use holds under a race: one is in, the others find the link used."""
    secret = await secret_of(inviting, house, (await push.user("kim"))["id"])
    found = await asyncio.gather(
        *(inviting.accept(secret, None) for _ in range(8)), return_exceptions=True
    )
    refused = [each for each in found if isinstance(each, Conflict)]
    assert len(refused) == 7
    assert {each.reason for each in refused} == {"invitation-used"}


async def test_a_login_uses_the_link_up(house: House, push: Pusher, inviting: Inviting) -> None:
    """U3: whoever came in by signing in has accepted."""
    kim = (await push.user("kim"))["id"]
    secret = await secret_of(inviting, house, kim)
    await house.log_in(kim)
    assert await reason(inviting, secret) == "invitation-used"


async def test_seven_days_from_when_it_first_leaves(
    house: House, push: Pusher, inviting: Inviting, clock: MovableClock
) -> None:
    """U18, D2: a link nobody had yet does not age; one that left is dead after seven days, and
    another copy does not make it live longer.
    """
    kim = (await push.user("kim"))["id"]
    clock.advance(30 * DAY)
    secret = await secret_of(inviting, house, kim)
    ends = (await inviting.link(house.administrator, kim)).expires_at
    clock.advance(6 * DAY)
    assert (await inviting.link(house.administrator, kim)).expires_at == ends
    assert (await inviting.page(secret, None)).expires_at == ends
    clock.advance(DAY + SECOND)
    assert await reason(inviting, secret) == "invitation-expired"
    with pytest.raises(Conflict, match="expired"):
        await inviting.link(house.administrator, kim)


async def test_resending_makes_a_new_epoch(house: House, push: Pusher, inviting: Inviting) -> None:
    """U18: the old link says that there is a newer one, and the new one works."""
    kim = (await push.user("kim"))["id"]
    old = await secret_of(inviting, house, kim)
    user, link = await inviting.invite(house.administrator, kim)
    assert user.invite_epoch == 2
    assert await reason(inviting, old) == "invitation-replaced"
    new = link.url.rpartition("/")[2]
    assert new != old
    assert (await inviting.accept(new, None)).user.is_active
    assert len(await house.rows("SELECT id FROM letters WHERE project_id = :project")) == 2


@pytest.mark.parametrize("how", ["idp", "admin", "delete"])
async def test_withdrawn(house: House, push: Pusher, inviting: Inviting, how: str) -> None:
    """U10, U11, U15: whoever is gone is not let in by a link that left before."""
    kim = (await push.user("kim"))["id"]
    secret = await secret_of(inviting, house, kim)
    if how == "admin":
        await house.licensing.suspend(house.administrator, kim)
    elif how == "idp":
        await push.patch(f"/Users/{kim}", {"op": "replace", "path": "active", "value": False})
    else:
        await push("DELETE", f"/Users/{kim}")
    assert await reason(inviting, secret) == "invitation-withdrawn"
    with pytest.raises(Conflict, match="no invitation"):
        await inviting.link(house.administrator, kim)


async def test_another_secret_is_nothing(inviting: Inviting) -> None:
    """Safety 3: what opens nothing is missing."""
    with pytest.raises(NotFound):
        await inviting.page("x" * 43, None)
    with pytest.raises(NotFound):
        await inviting.accept("x" * 43, None)


async def test_only_its_own_person_where_there_is_an_issuer(
    house: House, push: Pusher, inviting: Inviting
) -> None:
    """Safety 13, 16: a session as this person that the issuer vouched for, and no other: not
    nobody's, not somebody else's, not one a calling service asserted, not one for a link.
    """
    await with_issuer(house)
    kim, lee = [(await push.user(name))["id"] for name in ("kim", "lee")]
    secret = await secret_of(inviting, house, kim)
    others = (
        *(None, as_(lee, house), house.administrator, as_(kim, house, asserted_by="key:key_1")),
        as_(kim, house, link_id="lnk_1"),
    )
    for other in others:
        assert (await inviting.page(secret, other)).must_sign_in
        with pytest.raises(Unknown):
            await inviting.accept(secret, other)
    assert (await house.person(kim)).status is Status.INVITED
    assert not (await inviting.page(secret, as_(kim, house))).must_sign_in
    assert (await inviting.accept(secret, as_(kim, house))).user.is_active


async def test_who_came_back_from_signing_in(
    house: House, push: Pusher, inviting: Inviting
) -> None:
    """Safety 3, 16: the page behind the sign-in is its person's alone."""
    kim, lee = [(await push.user(name))["id"] for name in ("kim", "lee")]
    await secret_of(inviting, house, kim)
    [row] = await house.rows("SELECT id FROM invitations WHERE user_id = :kim", kim=kim)
    assert (await inviting.came(row["id"], as_(kim, house))).id == kim
    with pytest.raises(Forbidden):
        await inviting.came(row["id"], as_(lee, house))
    with pytest.raises(NotFound):
        await inviting.came("inv_none", as_(kim, house))


async def test_the_secret_is_kept_nowhere(house: House, push: Pusher, inviting: Inviting) -> None:
    """Safety, "Hashes": the tables hold a keyed hash, and no hash we make of what somebody sends
    is ever such a secret.
    """
    kim = (await push.user("kim"))["id"]
    secret = await secret_of(inviting, house, kim)
    for table in ("invitations", "letters", "audit", "events", "sign_ins"):
        assert secret not in repr(await house.rows(f"SELECT * FROM {table}"))
    [row] = await house.rows("SELECT id, hash FROM invitations WHERE project_id = :project")
    assert row["hash"] == HASHER(secret)
    assert HASHER.secret(row["id"]) == secret


async def test_links_are_for_administrators(house: House, push: Pusher, inviting: Inviting) -> None:
    """R129, safety 27: a key without the scope copies no link; each copy is in the audit."""
    kim = (await push.user("kim"))["id"]
    reader = Caller(Kind.SERVICE, house.project, "key_1", scopes=frozenset({"users:read"}))
    with pytest.raises(Forbidden):
        await inviting.link(reader, kim)
    await inviting.link(house.administrator, kim)
    acts = await house.rows("SELECT actor FROM audit WHERE action = 'invitation.link-shown'")
    assert acts == [{"actor": "admin:setup"}]
