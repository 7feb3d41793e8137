"""Reports of a 401: row K11, safety 25; `POST /v1/decisions/{id}/rejected`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from broker.db.seal import Seal
from broker.demo.world import Trouble
from broker.domain.callers import Caller
from broker.domain.clock import MINUTE
from broker.domain.connectors import Connector
from broker.domain.connectors import State as ConnectorState
from broker.domain.errors import Conflict, Forbidden, NotFound, Unknown
from broker.domain.tokens import State, TokenSet
from broker.domain.users import User
from broker.service.answering import Answer
from broker.service.rejecting import Doubt, Rejecting, Result
from broker.service.vault import Vault
from broker.store import connectors, tokens
from tests.clocks import MovableClock
from tests.stepping import END, KIM, OFF, World, asked


@dataclass(frozen=True, slots=True)
class Told:
    """A step that ran as Kim, and the key that was given the credential."""

    at: World
    kim: User
    connector: Connector
    engine: Caller

    @property
    def rejecting(self) -> Rejecting:
        return Rejecting(self.at.db, self.at.vault)

    async def resolve(self, step: str = "s4") -> Answer:
        return await self.at.resolving.resolve(self.engine, asked({"user_name": KIM}, step=step))

    async def reject(self, answer: Answer, line: int | None = None) -> Result:
        return await self.rejecting.rejected(self.engine, answer.decision_id, line)

    async def twice(self) -> Answer:
        """A token that was refused, and the fresh one after it."""
        assert await self.reject(await self.resolve()) is Result.EXPIRED
        return await self.resolve()

    async def token(self) -> TokenSet:
        found = await self.at.db.read(tokens.read, self.at.project, self.connector.id, self.kim.id)
        assert found is not None
        return found

    def asked_about(self) -> int:
        return self.at.simulator.salesforce.calls["introspect"]


@pytest.fixture
async def told(at: World) -> Told:
    connector, kim = await at.connector(**END), await at.person(KIM)
    await at.connect(connector, kim)
    return Told(at, kim, connector, await at.key())


async def test_a_refused_token_is_renewed(told: Told) -> None:
    """K11, d.13: the first report makes it expired; the next resolve has it renewed, and what it
    gives works.
    """
    first = await told.resolve()
    assert await told.reject(first) is Result.EXPIRED
    assert (await told.token()).state is State.EXPIRED
    second = await told.resolve()
    assert (second.decision_id, second.version) == (first.decision_id, 2)
    assert first.credential is not None
    assert second.credential is not None
    assert second.credential.access_token.reveal() != first.credential.access_token.reveal()
    assert await told.at.works(second.rendered()["credential"])


async def test_one_report_counts_a_version(told: Told) -> None:
    """K11 "one report per version": a second one, or one about an older token, changes nothing."""
    first = await told.resolve()
    assert await told.reject(first) is Result.EXPIRED
    assert await told.reject(first) is Result.IGNORED
    await told.resolve()
    before = await told.token()
    assert await told.reject(first, line=1) is Result.IGNORED
    assert await told.token() == before


async def test_the_second_within_ten_minutes_is_asked_at_the_program(told: Told) -> None:
    """K11, safety 25: the program calls the fresh token good: nobody has to sign in again."""
    second, before = await told.twice(), told.asked_about()
    assert await told.reject(second) is Result.KEPT
    assert told.asked_about() == before + 1
    assert (await told.token()).state is State.VALID
    assert (await told.resolve()).decision.row == "F6"


async def test_k11_what_the_program_calls_good_is_asked_once(
    told: Told, clock: MovableClock
) -> None:
    """K11 "one report per version": its word counts for that version; nobody is asked again."""
    second = await told.twice()
    assert await told.reject(second) is Result.KEPT
    before = told.asked_about()
    for _ in range(2):
        assert await told.reject(second) is Result.IGNORED
        clock.advance(11 * MINUTE)
    assert told.asked_about() == before
    assert (await told.token()).state is State.VALID


async def test_a_program_that_knows_it_no_more_ends_it(told: Told) -> None:
    """K11: the program itself says inactive: needs_reauth(rejected_by_resource), said once; with
    E on and nobody there the step ends as for any dead grant (R28).
    """
    second = await told.twice()
    told.at.simulator.salesforce.end_sessions()
    assert await told.reject(second) is Result.NEEDS_REAUTH
    token = await told.token()
    assert (token.state, token.reason) == (State.NEEDS_REAUTH, "rejected_by_resource")
    sql = "SELECT data FROM events WHERE type = 'authorization.failing'"
    [event] = await told.at.rows(sql)
    assert "rejected_by_resource" in event["data"]
    assert (await told.resolve()).decision.row == "F12"
    assert await told.reject(second) is Result.IGNORED


async def test_the_connector_users_token_is_the_connectors_affair(at: World) -> None:
    """C7, K11: refused twice and unknown to the program: the connector needs its administrator."""
    connector = await at.connector(**OFF)
    await at.connect(connector, None)
    engine = await at.key()
    for step, result in (("a", Result.EXPIRED), ("b", Result.NEEDS_REAUTH)):
        answer = await at.resolving.resolve(engine, asked({"user_name": KIM}, step=step))
        if step == "b":
            at.simulator.salesforce.end_sessions()
        rejecting = Rejecting(at.db, at.vault)
        assert await rejecting.rejected(engine, answer.decision_id) is result
    found = await at.db.read(connectors.find, at.project, connector.id)
    assert found is not None
    assert (found.state, found.reason) == (ConnectorState.NEEDS_REAUTH, "rejected_by_resource")


async def test_after_ten_minutes_it_is_the_first_again(told: Told, clock: MovableClock) -> None:
    """K11 "second in 10 min": later than that it is merely renewed, and the program not asked."""
    second, before = await told.twice(), told.asked_about()
    clock.advance(11 * MINUTE)
    assert await told.reject(second) is Result.EXPIRED
    assert told.asked_about() == before


@pytest.mark.parametrize("trouble", [Trouble.BROKEN, Trouble.RATE_LIMITED, Trouble.HTML])
async def test_a_program_that_does_not_answer_ends_nothing(told: Told, trouble: Trouble) -> None:
    """Safety 25, d.2: without its word the token is renewed once more; nobody signs in again."""
    second = await told.twice()
    told.at.simulator.salesforce.switches.set(trouble, endpoint="introspect", times=1)
    assert await told.reject(second) is Result.EXPIRED
    assert (await told.resolve()).decision.row == "F6"


async def test_what_cannot_be_read_is_asked_of_nobody(told: Told) -> None:
    """K16: with the key missing the report is noted, the program not asked."""
    second, before = await told.twice(), told.asked_about()
    programs = replace(told.at.programs, seal=Seal({"k2": b"2" * 32}))
    vault = Vault(told.at.db, told.at.hasher, programs)
    rejecting = Rejecting(told.at.db, vault)
    assert await rejecting.rejected(told.engine, second.decision_id) is Result.EXPIRED
    assert told.asked_about() == before


async def test_a_token_that_moved_on_meanwhile_is_left_alone(told: Told) -> None:
    """Safety 25: reconnected while the program was asked: its word is about another token."""
    second = await told.twice()
    told.at.simulator.salesforce.end_sessions()

    class Reconnecting(Rejecting):
        async def _is_alive(self, doubt: Doubt) -> bool | None:
            said = await Rejecting._is_alive(self, doubt)
            await told.at.connect(told.connector, told.kim)
            return said

    rejecting = Reconnecting(told.at.db, told.at.vault)
    assert await rejecting.rejected(told.engine, second.decision_id) is Result.IGNORED
    assert (await told.token()).state is State.VALID


async def test_only_who_was_given_it_may_say_so(told: Told) -> None:
    """Safety 25, 3: another key, an administrator, another project: a missing decision; a key
    without the scope or revoked since says nothing at all.
    """
    answer = await told.resolve()
    elsewhere = await told.at.elsewhere()
    strangers = [
        await told.at.key(),
        await told.at.key("resolve", "audit:read"),
        await told.at.administrator(),
        await elsewhere.key(),
    ]
    for stranger in strangers:
        with pytest.raises(NotFound):
            await told.rejecting.rejected(stranger, answer.decision_id)
    with pytest.raises(Forbidden):
        await told.rejecting.rejected(await told.at.key("links:write"), answer.decision_id)
    await told.at.revoke(told.engine)
    with pytest.raises(Unknown):
        await told.reject(answer)
    assert (await told.token()).state is State.VALID


async def test_an_answer_without_a_credential_cannot_be_refused(told: Told) -> None:
    """Safety 25 "the key that was given that version": where none left, there is no report."""
    engine = await told.at.key("resolve")
    answer = await told.at.resolving.resolve(engine, asked({"user_name": KIM}, step="bare"))
    assert answer.credential is None
    with pytest.raises(Conflict) as refused:
        await told.rejecting.rejected(engine, answer.decision_id)
    assert refused.value.reason == "no-credential"
    given = await told.resolve()
    with pytest.raises(Conflict):
        await told.reject(given, line=9)


async def test_every_report_is_in_the_audit(told: Told) -> None:
    """R46: who reported which version and what came of it; that the token was opened to ask."""
    await told.reject(await told.twice())
    sql = "SELECT action, detail FROM audit WHERE action IN ('token.rejected', 'token.opened')"
    rows = [(row["action"], row["detail"]) for row in await told.at.rows(sql)]
    assert sum('"result":"expired"' in said for _, said in rows) == 1
    assert sum('"result":"kept"' in said for _, said in rows) == 1
    assert sum('"purpose":"rejected"' in said for _, said in rows) == 1
