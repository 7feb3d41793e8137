"""Managing users: views, logons, the person's own flag (safety 9, row F5)."""

from __future__ import annotations

import pytest

from broker.db.database import Database
from broker.domain.callers import Caller, Kind
from broker.domain.errors import Conflict, Forbidden, Invalid, NotFound
from broker.domain.users import Status
from broker.service.managing import Managing
from broker.service.projects import Projects
from tests.broker.store import people
from tests.kinds import KINDS, SEAL


@pytest.fixture
async def caller(db: Database) -> Caller:
    """An administrator of a project with two declared suffixes."""
    projects = Projects(db, SEAL)
    project = await projects.named("default")
    await projects.change(project.id, by="test", suffixes=["EHR", "SmartFlows"])
    return Caller(Kind.ADMINISTRATOR, project.id, "setup")


async def added(db: Database, caller: Caller, *names: str) -> list[str]:
    """People of that project, by user name."""
    found = [people.person(name, project=caller.project) for name in names]
    await db.write(people.kept, *found)
    return [each.id for each in found]


async def test_people_come_page_by_page(db: Database, caller: Caller) -> None:
    """By id, those behind the last one; a status narrows the list."""
    managing = Managing(db, KINDS)
    ids = await added(db, caller, "kim", "amara", "bela")
    first = await managing.page(caller, limit=2)
    rest = await managing.page(caller, after=first[-1].id, limit=2)
    assert sorted(each.id for each in [*first, *rest]) == sorted(ids)
    assert await managing.page(caller, status=Status.ACTIVE) == []


async def test_who_waits_has_a_place_and_a_reason(db: Database, caller: Caller) -> None:
    """R129: the view says the place, and in one sentence why somebody is not active."""
    first, second = (people.waiting(name, n) for name, n in (("kim", 4), ("amara", 9)))
    await db.write(
        people.kept,
        *(people.person(each.user_name, project=caller.project, id=each.id, status=each.status,
                        queue_seq=each.queue_seq) for each in (first, second)),
    )  # fmt: skip
    view = await Managing(db, KINDS).get(caller, second.id)
    assert view.place == 2
    assert "place 2" in view.why


async def test_logons_are_set_as_a_whole(db: Database, caller: Caller) -> None:
    """Those that are sent, under their declared spelling, and no others."""
    (kim,) = await added(db, caller, "kim")
    managing = Managing(db, KINDS)
    await managing.set_logons(caller, kim, {"ehr": "KLEE", "SmartFlows": "klee"})
    assert (await managing.get(caller, kim)).logons == {"EHR": "KLEE", "SmartFlows": "klee"}
    changed = await managing.set_logons(caller, kim, {"EHR": "KLEE2"})
    assert changed.logons == {"EHR": "KLEE2"}


async def test_a_logon_belongs_to_one_person(db: Database, caller: Caller) -> None:
    """Safety 9: unique in its suffix, exact in case; a refusal keeps what was there."""
    kim, amara = await added(db, caller, "kim", "amara")
    managing = Managing(db, KINDS)
    await managing.set_logons(caller, kim, {"EHR": "KLEE"})
    await managing.set_logons(caller, amara, {"EHR": "klee"})
    with pytest.raises(Conflict):
        await managing.set_logons(caller, amara, {"SmartFlows": "x", "EHR": "KLEE"})
    assert (await managing.get(caller, amara)).logons == {"EHR": "klee"}


@pytest.mark.parametrize("given", [{"EHRR": "x"}, {"EHR": ""}, {"EHR": "a\u202eb"}])
async def test_a_wrong_logon_is_refused(
    db: Database, caller: Caller, given: dict[str, str]
) -> None:
    """Undeclared suffixes name the nearest; empty and hidden logons are invalid (safety 9)."""
    (kim,) = await added(db, caller, "kim")
    with pytest.raises(Invalid) as caught:
        await Managing(db, KINDS).set_logons(caller, kim, given)
    (problem,) = caught.value.problems
    assert problem.pointer.startswith("/logons/EHR")


async def test_the_flag_is_one_persons_or_many(db: Database, caller: Caller) -> None:
    """F5: settable for one and for many; one that is missing leaves all as they were."""
    kim, amara, bela = await added(db, caller, "kim", "amara", "bela")
    managing = Managing(db, KINDS)
    assert await managing.set_user_authentication(caller, [kim, kim, amara], enabled=False) == 2
    flags = [(await managing.get(caller, id)).user.user_authentication for id in (kim, amara, bela)]
    assert flags == [False, False, True]
    with pytest.raises(NotFound):
        await managing.set_user_authentication(caller, [bela, "usr_x"], enabled=False)
    assert (await managing.get(caller, bela)).user.user_authentication
    with pytest.raises(NotFound):
        await managing.set_group_user_authentication(caller, "grp_x", enabled=False)


async def test_each_verb_has_its_scope(db: Database, caller: Caller) -> None:
    """A key without the scope is told which one it lacks."""
    key = Caller(Kind.SERVICE, caller.project, "key_1")
    managing = Managing(db, KINDS)
    with pytest.raises(Forbidden):
        await managing.page(key)
    with pytest.raises(Forbidden):
        await managing.get(key, "usr_x")
    with pytest.raises(Forbidden):
        await managing.set_logons(key, "usr_x", {})
    with pytest.raises(Forbidden):
        await managing.set_user_authentication(key, [], enabled=True)


async def test_another_projects_person_is_missing(db: Database, caller: Caller) -> None:
    """Safety 2: reading and changing end at the project's wall."""
    (kim,) = await added(db, caller, "kim")
    stranger = Caller(Kind.ADMINISTRATOR, "prj_other", "setup")
    managing = Managing(db, KINDS)
    with pytest.raises(NotFound):
        await managing.get(stranger, kim)
    with pytest.raises(NotFound):
        await managing.set_logons(stranger, kim, {})
