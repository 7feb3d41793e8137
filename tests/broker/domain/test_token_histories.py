"""Random histories of one token set (rows K): whatever happens, never a wrong token.

The other side rotates strictly: each refresh spends the token it was sent. Holders of leases may be
slow, and they may die before or after their call.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from broker.domain.clock import HOUR, SECOND
from broker.domain.errors import Conflict
from broker.domain.token_states import Event, after, leased, why_dead
from broker.domain.tokens import DEAD, HOLDING, Grant, State, TokenSet

LEASE = 15 * SECOND
START = 1_800_000_000_000_000


@dataclass
class Call:
    """A call under way: its lease, the token it sent, and what that came to over there."""

    before: TokenSet
    fence: int
    until: int
    sent: bytes
    answer: bytes | None = None


class Fate(Enum):
    """How a call goes on."""

    ANSWERED = "answered"
    SLOW = "slow"
    DIES_BEFORE = "dies before the call"
    DIES_AFTER = "dies after the answer"
    UNHEARD = "its answer never comes"


class Histories(RuleBasedStateMachine):
    """One set, a program that rotates strictly, and every row of the table but K14."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.issued = 0
        self.living: bytes | None = None
        self.revoked_there = False
        self.calls: list[Call] = []
        self.lost = False
        self.versions = [0]
        self.token = TokenSet(
            id="tks_1",
            project="prj_1",
            connector="con_1",
            user="usr_1",
            state=State.ABSENT,
            created_at=START,
            changed_at=START,
        )

    def _new(self) -> bytes:
        self.issued += 1
        self.living = b"%d" % self.issued
        return self.living

    def _happen(self, event: Event, **more: object) -> None:
        try:
            self.token = after(self.token, event, now=self.now, **more)  # type: ignore[arg-type]  # as the table takes them
        except Conflict:
            return  # no row: nothing may change
        self.versions.append(self.token.version)

    @rule(wait=st.sampled_from([SECOND, 20 * SECOND, HOUR]))
    def time_passes(self, wait: int) -> None:
        self.now += wait

    @initialize()
    def somebody_signed_in(self) -> None:
        """K2, and the token is over."""
        self.somebody_signs_in()
        self.now += HOUR

    @rule()
    def somebody_signs_in(self) -> None:
        """K2."""
        refresh = self._new()
        self.lost = self.revoked_there = False
        grant = Grant(b"access " + refresh, refresh, self.now + HOUR)
        self._happen(Event.CONNECTED, grant=grant)

    @precondition(lambda self: self.token.is_due(self.now))
    @rule(fate=st.sampled_from(Fate))
    def somebody_refreshes(self, fate: Fate) -> None:
        """K4, K5: under the lease, which a second one does not get; and how it goes on."""
        sent = self.token.refresh or b""
        try:
            held = leased(self.token, journal="hash", until=self.now + LEASE, now=self.now)
        except Conflict:
            assert self.token.is_leased(self.now)
            return
        call = Call(self.token, held.fence, self.now + LEASE, sent)
        self.token = held
        if fate is Fate.DIES_BEFORE:
            return
        if sent == self.living and not self.revoked_there:
            call.answer = self._new()  # it rotates; else it does not know the token
        self.calls.append(call)
        match fate:
            case Fate.ANSWERED:
                self._answered(call)
            case Fate.DIES_AFTER:
                self._forgotten(call)
            case Fate.UNHEARD:
                self._forgotten(call)
                self._happen(Event.TRY_LATER, retry_at=self.now + SECOND, answered=False)

    @precondition(lambda self: self.calls)
    @rule(newest=st.booleans())
    def a_slow_answer_arrives(self, newest: bool) -> None:
        """K4, K6: written only under the newest lease, and where no other token came meanwhile."""
        self._answered(self.calls[-1 if newest else 0])

    def _answered(self, call: Call) -> None:
        self.calls.remove(call)
        if not self.token.accepts(fence=call.fence, version=call.before.version):
            self.lost = self.lost or call.answer is not None
            return
        if call.answer is not None:
            grant = Grant(b"access " + call.answer, call.answer, self.now + HOUR)
            self._happen(Event.REFRESHED, grant=grant)
            return
        reason = why_dead(call.before)
        self._happen(Event.GRANT_DEAD, reason=reason)
        if self.token.state is State.NEEDS_REAUTH and not self.revoked_there:
            assert reason == "lost_rotation", "the person did nothing"

    def _forgotten(self, call: Call) -> None:
        """Nobody here knows what was done over there; the journal stays."""
        self.calls.remove(call)
        self.lost = self.lost or call.answer is not None

    @rule()
    def it_is_revoked_over_there(self) -> None:
        self.revoked_there = True

    @rule(
        event=st.sampled_from(
            [
                Event.DISCONNECTED,
                Event.DEPROVISIONED,
                Event.UNREADABLE,
                Event.READABLE,
                Event.REJECTED,
                Event.LINK_ISSUED,
                Event.NOT_CONNECTED,
            ]
        )
    )
    def something_else_happens(self, event: Event) -> None:
        """K1, K3, K11, K12, K13, K16."""
        self._happen(event)

    @invariant()
    def one_living_lease(self) -> None:
        """Promise 1."""
        living = [call for call in self.calls if call.until > self.now]
        assert len({call.fence for call in living}) == len(living)
        mine = [call for call in living if call.fence == self.token.fence]
        assert len(mine) <= 1

    @invariant()
    def versions_only_grow(self) -> None:
        """Promise 3."""
        assert self.versions == sorted(self.versions)

    @invariant()
    def nothing_is_left_of_what_ended(self) -> None:
        """K12, K13, promise 10."""
        if self.token.state is State.REVOKED:
            held = (self.token.access, self.token.refresh, self.token.journal)
            assert held == (None, None, None)

    @invariant()
    def what_serves_is_the_newest(self) -> None:
        """Promises 2, 3: a set in use holds the token the other side knows, unless one was lost."""
        if self.token.state in HOLDING and not self.lost and not self.revoked_there:
            on_their_way = {call.answer for call in self.calls if call.answer is not None}
            assert self.living in {self.token.refresh} | on_their_way
            assert self.token.access == b"access " + (self.token.refresh or b"")

    @invariant()
    def the_dead_serve_nobody(self) -> None:
        if self.token.state in DEAD:
            assert not self.token.is_usable(self.now)
            assert not replace(self.token, minted=False).is_due(self.now)


def test_any_history() -> None:
    """Promises 1 to 3, 10: whatever happens to a set, in whatever order."""
    many = settings(max_examples=200, stateful_step_count=40, deadline=None)
    run_state_machine_as_test(Histories, settings=many)
