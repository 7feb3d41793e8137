"""Sign-in with the project's issuer: safety 5, 12, 14; U3, U4; promise 19."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from broker.db.database import Database
from broker.db.seal import Hasher, Seal
from broker.demo.identity import Client, Identity
from broker.demo.people import PEOPLE
from broker.demo.simulator import Simulator
from broker.domain import ids
from broker.domain.clock import MINUTE
from broker.domain.errors import BrokerError, Conflict, Forbidden, Unavailable, Unknown
from broker.domain.mapping import Profile
from broker.domain.users import License, Status, SuspendedBy, User
from broker.service.callers import Callers
from broker.service.licensing import Licensing
from broker.service.projects import Projects, SignIn
from broker.service.signing_in import SigningIn, callback
from broker.store import identities, users
from providers.egress import Egress
from providers.oidc import Issuers
from tests.broker.service import outside
from tests.canaries import planted
from tests.clocks import MovableClock

PUBLIC_URL = "http://127.0.0.1:8080"
KIM = PEOPLE[0]
BROWSER = "the-browser"
OIDC_SECRET = planted("oidc")


@dataclass
class Door:
    """One project with an issuer, and the sign-in of people there."""

    db: Database
    project: str
    identity: Identity
    callers: Callers
    signing_in: SigningIn

    async def person(self, **more: Any) -> User:
        """Kim, as a directory pushed them: invited, unless said otherwise."""
        fields: dict[str, Any] = {
            "id": ids.new("usr"),
            "project": self.project,
            "directory": "dir_1",
            "external_id": KIM.external_id,
            "profile": Profile(user_name=KIM.user_name, email=KIM.user_name),
            "status": Status.INVITED,
            "created_at": 0,
            "changed_at": 0,
        }
        user = User(**(fields | more))
        await self.db.write(users.insert, user)
        return user

    async def sent(
        self, external_id: str | None = KIM.external_id, to: str = "/"
    ) -> dict[str, str]:
        """Begin, pick a person at the issuer; what the browser brings back."""
        url = urlsplit(await self.signing_in.begin(self.project, to, BROWSER))
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        back = urlsplit(self.identity.decide(query, external_id))
        assert back.path == callback(self.project)
        return {name: values[0] for name, values in parse_qs(back.query).items()}

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        return await self.db.read(lambda tx: [dict(row) for row in tx.all(sql)])


@pytest.fixture
async def door(db: Database, programs: Simulator) -> AsyncIterator[Door]:
    identity, seal = programs.identity, Seal(outside.KEYS)
    projects = Projects(db, seal, programs.base_url)
    project = await projects.add("acme")
    identity.register(Client("broker", OIDC_SECRET, {PUBLIC_URL + callback(project.id)}))
    said = SignIn(identity.issuer, "broker", OIDC_SECRET, "sub=externalId")
    await projects.change(project.id, by="operator", sign_in=said)
    callers, egress = Callers(db, Hasher(b"h" * 32)), Egress(origins=[programs.base_url])
    signing_in = SigningIn(db, seal, PUBLIC_URL, Issuers(egress), callers, Licensing(db))
    yield Door(db, project.id, identity, callers, signing_in)
    await egress.aclose()


async def test_a_sign_in_is_a_login(door: Door) -> None:
    """U3: an invited person who signs in is active, and has a session of their own."""
    user = await door.person()
    signed_in = await door.signing_in.complete(
        door.project, await door.sent(to="/connect/lnk_1"), BROWSER
    )
    assert signed_in.return_to == "/connect/lnk_1"
    caller = await door.callers.session(signed_in.cookie)
    assert caller is not None
    assert (caller.user_id, caller.asserted_by, caller.link_id) == (user.id, "issuer", None)
    assert (await door.db.read(users.get, door.project, user.id)).is_active


async def test_without_a_license_they_wait(door: Door) -> None:
    """U4: signed in and queued, and told the place."""
    await door.db.write(lambda tx: tx.run("UPDATE licenses SET capacity = 0"))
    await door.person()
    signed_in = await door.signing_in.complete(door.project, await door.sent(), BROWSER)
    assert signed_in.login.place == 1


async def test_the_request_is_what_openid_connect_asks_for(door: Door) -> None:
    """OpenID Connect Core §3.1.2.1, RFC 7636: code, openid, state, nonce, S256."""
    url = urlsplit(await door.signing_in.begin(door.project, "/", BROWSER))
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert query["response_type"] == "code"
    assert "openid" in query["scope"].split()
    assert query["code_challenge_method"] == "S256"
    assert query["state"]
    assert query["nonce"]


async def test_the_browser_that_left_has_to_come_back(door: Door) -> None:
    """Safety 14: a callback in another browser signs nobody in, and spends nothing."""
    await door.person()
    params = await door.sent()
    for browser in ("another", ""):
        with pytest.raises(Unknown):
            await door.signing_in.complete(door.project, params, browser)
    assert (await door.signing_in.complete(door.project, params, BROWSER)).cookie


async def test_a_callback_works_once(door: Door) -> None:
    """Promise 19: a state is spent by its first callback."""
    await door.person()
    params = await door.sent()
    await door.signing_in.complete(door.project, params, BROWSER)
    with pytest.raises(Unknown):
        await door.signing_in.complete(door.project, params, BROWSER)


async def test_a_state_lives_ten_minutes(door: Door, clock: MovableClock) -> None:
    """Promise 19: who comes back later starts again; nothing of it is left behind."""
    await door.person()
    params = await door.sent()
    clock.advance(11 * MINUTE)
    with pytest.raises(Unknown):
        await door.signing_in.complete(door.project, params, BROWSER)
    await door.sent()
    assert len(await door.rows("SELECT state_hash FROM sign_ins")) == 1


@pytest.mark.parametrize("field", ["state", "iss", "code"])
async def test_a_forged_answer_proves_nothing(door: Door, field: str) -> None:
    """RFC 9207, RFC 6749 §10.12: a foreign state, issuer or code is refused."""
    await door.person()
    params = await door.sent()
    with pytest.raises(BrokerError):
        await door.signing_in.complete(
            door.project, params | {field: "https://evil.example"}, BROWSER
        )
    assert await door.rows("SELECT hash FROM sessions") == []


async def test_an_answer_belongs_to_the_address_of_its_project(
    door: Door, programs: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 9700 §4.4: an issuer that sends people on to another project's issuer, which sends no
    `iss`, gets no code: it arrives at the other project's own address, where the state is none.
    """
    await door.person()
    projects = Projects(door.db, Seal(outside.KEYS), programs.base_url)
    evil = await projects.add("evil")
    said = SignIn(door.identity.issuer, "attacker", None, None)
    await projects.change(evil.id, by="operator", sign_in=said)
    begun = urlsplit(await door.signing_in.begin(evil.id, "/", BROWSER))
    lured = {name: values[0] for name, values in parse_qs(begun.query).items()}
    honest = urlsplit(await door.signing_in.begin(door.project, "/", BROWSER))
    asked = {name: values[0] for name, values in parse_qs(honest.query).items()}
    assert lured["redirect_uri"] != asked["redirect_uri"]
    answer = await door.sent()
    del answer["iss"]
    redeemed: list[object] = []
    monkeypatch.setattr(Issuers, "sign_in", lambda *said, **more: redeemed.append((said, more)))
    for project, state in ((door.project, lured["state"]), (evil.id, asked["state"])):
        with pytest.raises(Unknown) as refused:
            await door.signing_in.complete(project, answer | {"state": state}, BROWSER)
        assert refused.value.reason == "sign-in-over"
    assert redeemed == []
    assert await door.rows("SELECT hash FROM sessions") == []


async def test_every_sign_in_has_secrets_of_its_own(door: Door) -> None:
    """RFC 9700 §2.1: state, nonce and challenge are new each time; the verifier stays here."""
    urls = [urlsplit(await door.signing_in.begin(door.project, "/", BROWSER)) for _ in range(3)]
    asked = [{name: values[0] for name, values in parse_qs(url.query).items()} for url in urls]
    for name in ("state", "nonce", "code_challenge"):
        assert len({each[name] for each in asked}) == 3
        assert all(len(each[name]) >= 43 for each in asked)
    assert all("code_verifier" not in each for each in asked)


async def test_nobody_picked_is_nobody(door: Door) -> None:
    """A sign-in the person broke off is told in a friendly way."""
    with pytest.raises(Unknown) as refused:
        await door.signing_in.complete(door.project, await door.sent(None), BROWSER)
    assert refused.value.reason == "sign-in-refused"


async def test_an_address_is_nobody(door: Door) -> None:
    """Safety 5: the same e-mail and userName under another subject is not this person."""
    await door.person(external_id="somebody-else")
    with pytest.raises(Forbidden):
        await door.signing_in.complete(door.project, await door.sent(), BROWSER)
    assert await door.rows("SELECT user_id FROM identities") == []


async def test_a_subject_once_known_stays_that_person(door: Door) -> None:
    """Safety 5: by (issuer, subject); a later externalId of somebody else changes nothing."""
    user = await door.person()
    await door.signing_in.complete(door.project, await door.sent(), BROWSER)
    changed = replace(await door.db.read(users.get, door.project, user.id), external_id="new")
    await door.db.write(users.change, changed)
    other = await door.person(profile=Profile(user_name="other@acme.example"))
    signed_in = await door.signing_in.complete(door.project, await door.sent(), BROWSER)
    assert signed_in.login.user.id == user.id != other.id


async def test_two_with_one_external_id_are_nobody(door: Door) -> None:
    """Safety 5: a claim that names two people of one directory proves neither."""
    await door.person()
    await door.person(profile=Profile(user_name="other@acme.example"))
    with pytest.raises(Forbidden):
        await door.signing_in.complete(door.project, await door.sent(), BROWSER)


@pytest.mark.parametrize(
    "gone",
    [
        {"status": Status.SUSPENDED, "suspended_by": SuspendedBy.ADMIN},
        {"status": Status.DELETED},
        {"detached_at": 1, "status": Status.ACTIVE, "license": License.HELD, "directory": None},
    ],
    ids=["suspended", "deleted", "detached"],
)
@pytest.mark.parametrize("known", [False, True], ids=["first time", "known subject"])
async def test_whose_access_ended_cannot_sign_in(
    door: Door, gone: dict[str, Any], known: bool
) -> None:
    """F2's habit and safety 12: suspended, deleted and detached people get no session."""
    user = await door.person(**gone)
    if known:
        subject = (door.identity.issuer, KIM.external_id)
        await door.db.write(identities.learn, door.project, *subject, user.id)
    with pytest.raises(Forbidden):
        await door.signing_in.complete(door.project, await door.sent(), BROWSER)
    assert await door.rows("SELECT hash FROM sessions") == []
    assert len(await door.rows("SELECT id FROM audit WHERE action = 'sign-in.refused'")) == 1


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example", "evil", "/a\nb", ""]
)
async def test_a_sign_in_sends_nobody_elsewhere(door: Door, elsewhere: str) -> None:
    """RFC 9700 §4.11: the way back is a path of ours, or the front page."""
    await door.person()
    signed_in = await door.signing_in.complete(door.project, await door.sent(to=elsewhere), BROWSER)
    assert signed_in.return_to == "/"


async def test_a_project_without_an_issuer_says_so(door: Door) -> None:
    """Safety 5: there is no default issuer."""
    other = await Projects(door.db, Seal(outside.KEYS)).add("other")
    with pytest.raises(Conflict) as refused:
        await door.signing_in.begin(other.id, "/", BROWSER)
    assert refused.value.reason == "no-identity-provider"


async def test_an_issuer_that_is_away_is_not_us(door: Door) -> None:
    """A disturbed issuer is 503 and no failure of the person's."""
    projects = Projects(door.db, Seal(outside.KEYS), "http://localhost:9")
    said = SignIn("http://localhost:9/identity", "broker", None, None)
    await projects.change(door.project, by="operator", sign_in=said)
    with pytest.raises(Unavailable):
        await door.signing_in.begin(door.project, "/", BROWSER)
