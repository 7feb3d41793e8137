"""AuthenticateUser: its items, and never Pass without proof."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.domain import names
from broker.domain.actions import (
    AGENT_COUPON,
    EXPECTED,
    LOGON,
    NAME,
    NEXT,
    STATUS,
    SUBJECT,
    Action,
    Event,
    Expected,
    Proven,
    State,
    UnknownItemName,
    Verdict,
    after,
    expected_of,
    judge,
)
from broker.domain.errors import Conflict
from broker.domain.mapping import Profile

KEVIN = Proven(
    user="usr_1",
    is_active=True,
    profile=Profile("k", given_name="Kevin", family_name="Smith"),
    logons={"smartflows": "ksmith", "ehr": "KSMITH01"},
)
LOGONS = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=12)


def expect(logon: str, suffix: str = "SmartFlows") -> tuple[Expected, ...]:
    """One expected logon."""
    return (Expected(suffix, logon),)


def test_r86_r91_the_names() -> None:
    """R86, R91, R92: subject, agent coupon and item names as in labels.md."""
    assert (SUBJECT, AGENT_COUPON) == ("AuthenticateUser", -11)
    assert (EXPECTED, STATUS) == (
        "AuthenticateUser.In.ExpectedUserLogon",
        "AuthenticateUser.Ou.Status",
    )
    assert (LOGON, NAME) == ("AuthenticateUser.Ou.Logon", "AuthenticateUser.Ou.Name")


@pytest.mark.parametrize("suffix", ["A", "a_b", "Ünï", "x.y", "Smart Flows"])
@pytest.mark.parametrize(
    "name", [EXPECTED, EXPECTED.lower(), EXPECTED.upper(), "AuthenticateUser.In.ExpectedUserLogOn"]
)
def test_r101_names_in_any_case_keep_their_suffix(name: str, suffix: str) -> None:
    """R92, R93, R101: the name whatever its case, suffix and value as sent."""
    assert expected_of({f"{name}.{suffix}": "kSmith"}) == (Expected(suffix, "kSmith"),)


@pytest.mark.parametrize(
    "item",
    [
        "",
        "AuthenticateUser",
        EXPECTED,
        f"{EXPECTED}.",
        f"{EXPECTED}. ",
        f"{EXPECTED}X.A",
        f"{EXPECTED}.a\u202eb",
        "AuthenticateUser.Ou.Status",
        "AuthenticateUser.In.ExpectedUserName.A",
        "User.id.logon.A",
        "a/b~c",
    ],
)
def test_r102_unknown_items_are_refused_as_such(item: str) -> None:
    """R102, safety 9: UnknownItemName, with a pointer (RFC 6901) and the right name."""
    with pytest.raises(UnknownItemName) as refused:
        expected_of({item: "ksmith"})
    assert refused.value.reason == "unknown-item-name"
    (problem,) = refused.value.problems
    assert problem.pointer == "/items/" + item.replace("~", "~0").replace("/", "~1")
    assert problem.did_you_mean == f"{EXPECTED}.<Suffix>"


def test_one_item_is_not_given_twice() -> None:
    """Suffixes are one by casefold (safety 9), so two spellings are one item given twice."""
    with pytest.raises(UnknownItemName, match="twice"):
        expected_of({f"{EXPECTED}.A": "x", f"{EXPECTED.lower()}.a": "y"})


def test_r85_a_pass_maps_between_applications() -> None:
    """R85, R95, R98: asked with one suffix, answered in another, by the logons alone."""
    verdict = judge(expect("ksmith"), ["EHR"], KEVIN)
    assert verdict.is_pass
    assert verdict.items == {
        "AuthenticateUser.Ou.Status": "Pass",
        "AuthenticateUser.Ou.Logon.EHR": "KSMITH01",
        "AuthenticateUser.Ou.Logon.SmartFlows": "ksmith",
        "AuthenticateUser.Ou.Name": "Smith^Kevin",
    }
    assert (verdict.reason, verdict.user, verdict.unmapped) == (None, "usr_1", ())


@pytest.mark.parametrize("expected", [(), expect("")], ids=["left out", "empty"])
def test_r84_nobody_in_particular(expected: tuple[Expected, ...]) -> None:
    """R84: absent and "" behave alike: any active person passes."""
    verdict = judge(expected, ["SmartFlows"], KEVIN)
    assert verdict == judge((), ["SmartFlows"], KEVIN)
    assert verdict.is_pass


def test_r83_r96_another_person_fails_with_the_proven_logon() -> None:
    """R83, R96: expected `jdoe`, proven `ksmith`: Fail, and who it was."""
    verdict = judge(expect("jdoe"), ["EHR"], KEVIN)
    assert verdict.items == {
        STATUS: "Fail",
        f"{LOGON}.EHR": "KSMITH01",
        f"{LOGON}.SmartFlows": "ksmith",
    }
    assert (verdict.reason, verdict.user) == ("expected_user_mismatch", "usr_1")


def test_r93_case_matters_in_values() -> None:
    """R93: ksmith is not Ksmith; but a suffix has no case (safety 9) and is echoed as sent."""
    assert not judge(expect("Ksmith"), [], KEVIN).is_pass
    verdict = judge(expect("ksmith", "SMARTFLOWS"), [], KEVIN)
    assert verdict.items[f"{LOGON}.SMARTFLOWS"] == "ksmith"


def test_every_expected_logon_has_to_be_theirs() -> None:
    """Two expected logons, one of somebody else: Fail."""
    both = (*expect("ksmith"), *expect("JDOE", "EHR"))
    assert judge(both, [], KEVIN).reason == "expected_user_mismatch"


def test_r96_expected_where_the_person_has_no_logon() -> None:
    """R96: the expected item goes back as sent, since nothing else is known."""
    verdict = judge(expect("kevin", "Lab"), [], KEVIN)
    assert verdict.items == {STATUS: "Fail", f"{LOGON}.Lab": "kevin"}
    assert verdict.unmapped == ()


def test_a_suffix_without_a_logon_is_unmapped() -> None:
    """b.2: the item is left out, and `unmapped` lists it."""
    verdict = judge((), ["Lab", "EHR", "lab"], KEVIN)
    assert verdict.is_pass
    assert verdict.unmapped == ("lab",)
    assert set(verdict.items) == {STATUS, NAME, f"{LOGON}.EHR"}


def test_r99_a_person_without_a_name() -> None:
    """R99: "", not missing and not null."""
    verdict = judge((), [], replace(KEVIN, profile=Profile("k")))
    assert verdict.items == {STATUS: "Pass", NAME: ""}


def test_who_is_not_active_never_passes() -> None:
    """b.2: invited, queued, suspended, deleted: Fail with the reason, and the proven logon."""
    verdict = judge(expect("ksmith"), [], replace(KEVIN, is_active=False))
    assert verdict.items == {STATUS: "Fail", f"{LOGON}.SmartFlows": "ksmith"}
    assert verdict.reason == "user_not_active"


@given(logon=LOGONS, suffix=LOGONS.filter(str.strip), asked=st.lists(LOGONS, max_size=3))
def test_safety_30_without_proof_there_is_only_an_echo(
    logon: str, suffix: str, asked: list[str]
) -> None:
    """Safety 30, R94, R96: Status and the expected item as sent, whoever has that logon."""
    verdict = judge(expect(logon, suffix), asked, None)
    assert verdict == Verdict(
        {STATUS: "Fail", f"{LOGON}.{suffix}": logon}, "not_authenticated", None, ()
    )


def test_safety_30_nothing_expected_nothing_echoed() -> None:
    """R94: Status is always there; the reason is what was wrong with the evidence."""
    verdict = judge(expect(""), ["EHR"], None, reason="evidence_expired")
    assert verdict == Verdict({STATUS: "Fail"}, "evidence_expired")


@given(
    logons=st.dictionaries(LOGONS.map(names.key), LOGONS, max_size=4),
    expected=st.dictionaries(LOGONS, st.one_of(st.just(""), LOGONS), max_size=3),
    asked=st.lists(LOGONS, max_size=3),
    active=st.booleans(),
    proven=st.booleans(),
)
def test_never_pass_without_proof(
    logons: dict[str, str],
    expected: dict[str, str],
    asked: list[str],
    active: bool,
    proven: bool,
) -> None:
    """T9: Pass ⇔ proven, active, and everybody expected is that person, exactly."""
    unique = {names.key(suffix): Expected(suffix, logon) for suffix, logon in expected.items()}
    kevin = Proven("usr_1", active, KEVIN.profile, logons)
    verdict = judge(unique.values(), asked, kevin if proven else None)
    theirs = all(not one.logon or logons.get(key) == one.logon for key, one in unique.items())
    assert verdict.is_pass is (proven and active and theirs)
    assert (NAME in verdict.items) is verdict.is_pass


ROWS = [
    ("safety 29", State.PENDING, Event.PROVEN, State.PROVEN),
    ("R82", State.PENDING, Event.ANSWERED, State.DONE),
    ("safety 29 code", State.PROVEN, Event.ANSWERED, State.DONE),
]


def action(state: State) -> Action:
    """An action in this state."""
    return Action(
        project="prj_1",
        coupon=4711,
        key="key_1",
        state=state,
        expected=(),
        suffixes=(),
        created_at=0,
        expires_at=9,
        user="usr_0" if state is State.PROVEN else None,
        code_hash="code",
    )


def happen(before: Action, event: Event) -> Action:
    """`after`, with what the event brings."""
    return after(
        before,
        event,
        user="usr_1" if event is Event.PROVEN else None,
        code_hash="new" if event is Event.PROVEN else None,
        verdict=judge((), [], KEVIN) if event is Event.ANSWERED else None,
    )


@pytest.mark.parametrize(("row", "state", "event", "to"), ROWS, ids=[row[0] for row in ROWS])
def test_action_row(row: str, state: State, event: Event, to: State) -> None:
    """An action is proven, then answered; its code lives from the proof to the answer."""
    result = happen(action(state), event)
    assert (result.state, result.version) == (to, 2), row
    assert result.code_hash == ("new" if event is Event.PROVEN else None)
    assert (result.verdict is not None) is (event is Event.ANSWERED)


def test_the_rows_are_the_table() -> None:
    """No pair is allowed that the rows above do not name."""
    assert {(state, event): to for _, state, event, to in ROWS} == NEXT


@pytest.mark.parametrize(
    ("state", "event"), [pair for pair in itertools.product(State, Event) if pair not in NEXT]
)
def test_every_other_pair_is_refused(state: State, event: Event) -> None:
    """R87: an action is answered once and then over."""
    with pytest.raises(Conflict):
        happen(action(state), event)


@given(passed=st.booleans(), asked=st.booleans())
def test_safety_8_what_ended_never_passes(passed: bool, asked: bool) -> None:
    """Safety 8, R94, R96: an action whose person had to go is a Fail with the logon that was known
    or expected, whether it had been answered or not; any other says what was judged.
    """
    verdict = judge(expect("ksmith"), [], KEVIN) if passed else None
    held = expect("ksmith") if asked else ()
    ended = replace(action(State.EXPIRED), expected=held, verdict=verdict)
    assert ended.answer is not None
    echo = {f"{LOGON}.SmartFlows": "ksmith"} if passed or asked else {}
    assert (ended.answer.items, ended.answer.reason) == ({STATUS: "Fail"} | echo, "user_not_active")
    assert replace(ended, state=State.DONE).answer == verdict


def test_proof_and_answer_bring_what_they_must() -> None:
    """Proof without a person, or an answer without its verdict, is our own mistake."""
    with pytest.raises(ValueError, match="names the person"):
        after(action(State.PENDING), Event.PROVEN)
    with pytest.raises(ValueError, match="brings its verdict"):
        after(action(State.PENDING), Event.ANSWERED)
