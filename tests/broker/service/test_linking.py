"""What a link asks the program for: rows K7 and K15; RFC 6749 §3.3, `claims` of OpenID Connect."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from broker.db.database import Transaction
from broker.domain.links import Link
from broker.domain.token_states import Event, after
from broker.domain.tokens import State
from broker.domain.users import User
from broker.service.granting import Granting
from broker.store import tokens
from tests.broker.service.outside import KIM, Outside

SITE, OTHER_SITE = "https://flows.example/back", "https://other.example/back"
CLAIMS = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'


async def test_one_consent_covers_granted_missing_and_wanted(world: Outside) -> None:
    """K15: a step wants a further scope: the link asks for the union, so that nothing that ran
    before asks again; what the person leaves out is asked for by the next link too.
    """
    id, user = await world.connector(), await world.person()
    caller = await world.session(user)
    link = await world.link(user, id, scopes=("chatter_api",))
    await world.bring(await world.sent(link, caller, KIM, grants="api id refresh_token"), caller)
    link = await world.link(user, id, scopes=("wave_api",))
    asked = await query(world, link, user)
    assert asked["scope"].split() == ["api", "id", "refresh_token", "chatter_api", "wave_api"]
    assert (await world.sign_in(link, caller, KIM)).ok
    token = await world.token(id, user.id)
    assert not token.lacking(("api", "chatter_api", "wave_api"))
    link = await world.link(user, id, scopes=("wave_api",))
    assert "chatter_api" in (await query(world, link, user))["scope"]


async def test_who_disconnected_is_asked_for_no_more_than_is_wanted(world: Outside) -> None:
    """K12, K15: the old consent is over: its scopes are not asked for behind the person's back."""
    id, user = await world.connector(), await world.person()
    caller = await world.session(user)
    link = await world.link(user, id, scopes=("chatter_api",))
    assert (await world.sign_in(link, caller, KIM)).ok
    await Granting(world.db).disconnect(world.administrator, id, user.id)
    link = await world.link(user, id, scopes=("wave_api",))
    assert (await query(world, link, user))["scope"] == "api id refresh_token wave_api"


@pytest.mark.parametrize("claims", [CLAIMS, None])
async def test_what_the_program_demands_goes_into_the_next_link(
    world: Outside, claims: str | None
) -> None:
    """K7: the claims of an interaction answer are in the authorization request as they came, also
    of a link that was open before; once the person did what was demanded they are gone.
    """
    id, user = await world.connector(), await world.person()
    await world.authorized(user, id)
    link = await world.link(user, id, scopes=("chatter_api",))

    def demanding(tx: Transaction) -> None:
        token = tokens.read(tx, world.project, id, user.id, lock=True)
        assert token is not None
        token = after(token, Event.PERSON_NEEDED, now=tx.now, claims=claims)
        tokens.save(tx, token, due_at=None)

    await world.db.write(demanding)
    assert (await query(world, link, user)).get("claims") == claims
    assert (await world.sign_in(link, await world.session(user), KIM)).ok
    token = await world.token(id, user.id)
    assert (token.state, token.claims) == (State.VALID, None)
    assert "claims" not in await query(world, await world.link(user, id), user)


@pytest.mark.parametrize(
    ("first", "then", "ends"),
    [
        (SITE, (SITE,), SITE),
        (SITE, (OTHER_SITE,), None),
        (SITE, (None,), None),
        (None, (SITE,), None),
        (SITE, (OTHER_SITE, SITE), None),
    ],
)
async def test_a_joined_link_sends_nobody_to_another_program(
    world: Outside, first: str | None, then: tuple[str | None, ...], ends: str | None
) -> None:
    """Safety 29: who joins an open link with another return URL than it has changes where it ends:
    for all of them on our page, so that nobody's person comes out at somebody else's.
    """
    id, user = await world.connector(), await world.person()
    key = replace(world.key("links:write"), return_urls=(SITE, OTHER_SITE))
    made = [
        await world.authorizing.make_link(key, user.id, id, return_url=url)
        for url in (first, *then)
    ]
    assert len({link.id for link in made}) == 1
    assert made[-1].return_url == ends
    assert (await world.sign_in(made[0], await world.session(user), KIM)).return_url == ends


async def query(world: Outside, link: Link, user: User) -> dict[str, str]:
    """What the browser would ask the program."""
    caller = await world.session(user)
    url = await world.authorizing.begin(link.id, caller, world.browser(caller))
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
