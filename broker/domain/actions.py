"""The items of AuthenticateUser, in and out, and what is proven (R82 to R103, safety 30)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from broker.domain import names, xpn
from broker.domain.errors import Conflict, Invalid, Problem
from broker.domain.mapping import Profile

SUBJECT = "AuthenticateUser"  # R86
AGENT_COUPON = -11  # R91
EXPECTED = f"{SUBJECT}.In.ExpectedUserLogon"
STATUS = f"{SUBJECT}.Ou.Status"
LOGON = f"{SUBJECT}.Ou.Logon"
NAME = f"{SUBJECT}.Ou.Name"
PASS = "Pass"
FAIL = "Fail"

NOT_AUTHENTICATED = "not_authenticated"
EXPECTED_USER_MISMATCH = "expected_user_mismatch"
USER_NOT_ACTIVE = "user_not_active"


class UnknownItemName(Invalid):
    """There is no such item of AuthenticateUser."""

    more = MappingProxyType({"ccowException": "UnknownItemName"})


class State(StrEnum):
    """Where an action that was asked for stands; many expire in one statement (safety 8)."""

    PENDING = "pending"
    PROVEN = "proven"
    DONE = "done"
    EXPIRED = "expired"


class Event(StrEnum):
    """What can happen to an action."""

    PROVEN = "proven"
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class Expected:
    """One expected logon as it was sent; `logon` "" expects nobody in particular (R84)."""

    suffix: str
    logon: str


@dataclass(frozen=True, slots=True)
class Proven:
    """The person somebody proved to be; `logons` by the key of their suffix (`names.key`)."""

    user: str
    is_active: bool
    profile: Profile
    logons: Mapping[str, str]

    def logon(self, suffix: str) -> str | None:
        """This person's name in that application, None where there is none."""
        return self.logons.get(names.key(suffix))


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of an action that was performed: a Fail is one too, so Status is always there.

    `unmapped` are the suffixes that were asked for and in which the person has no logon; `user` is
    who was proven.
    """

    items: Mapping[str, str]
    reason: str | None = None
    user: str | None = None
    unmapped: tuple[str, ...] = ()

    @property
    def is_pass(self) -> bool:
        """Whether the person is proven, expected and active."""
        return self.items[STATUS] == PASS


@dataclass(frozen=True, slots=True)
class Action:
    """One request for an authentication; transient, readable by the key that asked alone (R87).

    `user` is who proved to be somebody in the browser, while the asker has not yet brought back
    the one-time code whose keyed hash is `code_hash` (safety 29).
    """

    project: str
    coupon: int
    key: str
    state: State
    expected: tuple[Expected, ...]
    suffixes: tuple[str, ...]
    created_at: int
    expires_at: int
    return_url: str | None = None
    user: str | None = None
    code_hash: str | None = None
    verdict: Verdict | None = None
    version: int = 1

    @property
    def answer(self) -> Verdict | None:
        """The verdict as it holds now: nothing passes for a person who had to go (safety 8)."""
        if self.state is not State.EXPIRED:
            return self.verdict
        found = self.verdict or judge(self.expected, (), None)
        kept = {name: value for name, value in found.items.items() if name != NAME}
        return replace(found, items=kept | {STATUS: FAIL}, reason=USER_NOT_ACTIVE)


NEXT = {
    (State.PENDING, Event.PROVEN): State.PROVEN,  # safety 29: the person's part is done
    (State.PENDING, Event.ANSWERED): State.DONE,  # R82: evidence was enough
    (State.PROVEN, Event.ANSWERED): State.DONE,  # safety 29: the asker brought the code
}


def after(
    action: Action,
    event: Event,
    *,
    user: str | None = None,
    code_hash: str | None = None,
    verdict: Verdict | None = None,
) -> Action:
    """This action once `event` has happened; Conflict where the table has no row.

    Proof brings the `user` and the code's keyed hash, an answer its `verdict`. The code is gone
    once it is answered.
    """
    if (state := NEXT.get((action.state, event))) is None:
        raise Conflict(f"An action that is {action.state} cannot be {event}")
    if (event is Event.PROVEN) is (user is None) or (event is Event.ANSWERED) is (verdict is None):
        raise ValueError("proof names the person, an answer brings its verdict")
    return replace(
        action,
        state=state,
        user=user or action.user,
        code_hash=code_hash,
        verdict=verdict,
        version=action.version + 1,
    )


def expected_of(items: Mapping[str, str]) -> tuple[Expected, ...]:
    """The inputs among these items, names in any case, suffix and value as sent (R92, R101).

    UnknownItemName for any other item, for a suffix that is missing or hides something, and for
    one that is given twice (R102, safety 9).
    """
    found: dict[str, Expected] = {}
    for item, value in items.items():
        suffix = _suffix(item)
        if names.key(suffix) in found:
            raise unknown_item(item, "is there twice")
        found[names.key(suffix)] = Expected(suffix, value)
    return tuple(found.values())


def judge(
    expected: Iterable[Expected],
    suffixes: Iterable[str],
    proven: Proven | None,
    *,
    reason: str = NOT_AUTHENTICATED,
) -> Verdict:
    """Pass for a person who is proven, expected wherever one was, and active; else Fail.

    Without proof the answer is Status and the expected item as sent, whoever has that logon
    (safety 30); `reason` says what was wrong with the evidence. With proof the logons are those of
    the proven person, in every suffix that was sent or asked for (R85, R96); the name comes with
    a Pass alone.
    """
    sent = {names.key(one.suffix): one for one in expected if one.logon}
    if proven is None:
        echo = {f"{LOGON}.{one.suffix}": one.logon for one in sent.values()}
        return Verdict({STATUS: FAIL, **echo}, reason)
    wanted = {names.key(suffix): suffix for suffix in suffixes}
    wanted |= {key: one.suffix for key, one in sent.items()}
    failed = _why_not(sent.values(), proven)
    items = {STATUS: FAIL if failed else PASS}
    unmapped = []
    for key, suffix in wanted.items():
        # Sent and not theirs is a Fail already: the expected item goes back as it came (R96).
        logon = proven.logon(suffix) or (sent[key].logon if key in sent else None)
        if logon is None:
            unmapped.append(suffix)
        else:
            items[f"{LOGON}.{suffix}"] = logon
    if not failed:
        items[NAME] = xpn.written(proven.profile)
    return Verdict(items, failed, proven.user, tuple(unmapped))


def _why_not(sent: Iterable[Expected], proven: Proven) -> str | None:
    """Why this proven person does not pass; logons are compared exactly (R93)."""
    if any(proven.logon(one.suffix) != one.logon for one in sent):
        return EXPECTED_USER_MISMATCH
    return None if proven.is_active else USER_NOT_ACTIVE


def _suffix(item: str) -> str:
    """The suffix of an expected logon's item name."""
    stem, dot, suffix = item[: len(EXPECTED)], item[len(EXPECTED) :][:1], item[len(EXPECTED) + 1 :]
    if stem.lower() != EXPECTED.lower() or dot != ".":
        raise unknown_item(item, "is no input of AuthenticateUser")
    try:
        return names.suffix(suffix)
    except Invalid as problem:
        raise unknown_item(item, f"has no usable suffix: {problem}") from problem


def unknown_item(item: str, why: str) -> UnknownItemName:
    """The refusal of an item by that name (R102)."""
    pointer = "/items/" + item.replace("~", "~0").replace("/", "~1")
    detail = f"{item!r} {why}"
    return UnknownItemName(
        detail,
        reason="unknown-item-name",
        problems=(Problem(pointer, "unknown_item_name", detail, f"{EXPECTED}.<Suffix>"),),
    )
