"""Mappings as administrators work on them: versions, refusals, previews that write nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from broker.db import schema
from broker.db.database import Database, Transaction
from broker.domain.callers import SCOPES, Caller, Kind
from broker.domain.errors import Forbidden, Invalid, NotFound, Stale
from broker.service.drafting import Drafting, Preview
from broker.service.mapping import DEFAULT, Mappings
from broker.store import directories, logons, projects
from tests import pushing
from tests.pushing import CATALOGUE, House, Pusher
from tests.watching import Watched

LOWER = {"to": "email", "rule": "lower", "from": ["userName"]}
SHOE = {"to": "custom.shoeSize", "rule": "copy", "from": ["shoeSize"]}


@pytest.fixture
async def house(db: Database) -> House:
    """A project on each engine, with a field and a suffix of its own."""
    made = await pushing.house(db)
    await db.write(projects.set_fields, made.project, ["shoeSize"])
    await db.write(logons.declare, made.project, "EHR")
    return made


@pytest.fixture
async def push(house: House) -> AsyncIterator[Pusher]:
    """An identity provider's side of a directory."""
    async with pushing.calling(house) as push:
        yield push


@pytest.fixture
def drafting(house: House) -> Drafting:
    """What administrators ask."""
    return Drafting(house.db, Mappings(house.db, CATALOGUE))


def key(house: House) -> Caller:
    """A key that may do all that keys may do."""
    return Caller(Kind.SERVICE, house.project, "key_1", scopes=SCOPES)


async def everything(db: Database) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table."""

    def dumped(tx: Transaction) -> dict[str, list[dict[str, Any]]]:
        names = [table.name for table in schema.metadata.sorted_tables]
        found = {name: tx.all(f"SELECT * FROM {name}") for name in names}
        return {name: sorted((dict(row) for row in rows), key=str) for name, rows in found.items()}

    return await db.read(dumped)


async def test_each_save_is_a_version_and_one_goes_back_by_saving_an_old_one(
    house: House, push: Pusher, drafting: Drafting
) -> None:
    """Issue "Mapping", versioned: 0 is the default, each is kept as it was, who saved it is told,
    and nothing is synced by a save.
    """
    id, runs = push.directory.id, await house.syncing.runs(house.project)
    first = await drafting.get(house.project, id)
    assert (first.kept.version, first.current, first.compiled) == (0, 0, DEFAULT)
    await drafting.save(house.administrator, id, {"rules": [LOWER], "ignore": ["x"]}, 0)
    second = await drafting.save(key(house), id, {"unmatched": "skip", "match": ["userName"]}, 1)
    assert (second.kept.version, second.kept.created_by) == (2, "key:key_1")
    old = await drafting.get(house.project, id, 1)
    assert (old.kept.version, old.current, old.kept.created_by) == (1, 2, "admin:setup")
    assert old.compiled.rendered() == {
        "rules": [LOWER | {"required": False}],
        "ignore": ["x"],
        "match": ["externalId", "userName"],
        "unmatched": "create",
    }
    back = await drafting.save(house.administrator, id, old.compiled.rendered(), 2)
    assert (back.kept.version, back.compiled.rendered()) == (3, old.compiled.rendered())
    with pytest.raises(NotFound):
        await drafting.get(house.project, id, 4)
    acts = await house.rows(
        "SELECT actor FROM audit WHERE project_id = :project AND action = 'directory.mapping'"
        " ORDER BY at"
    )
    assert [row["actor"] for row in acts] == ["admin:setup", "key:key_1", "admin:setup"]
    assert await house.syncing.runs(house.project) == runs


async def test_of_two_who_read_the_same_version_one_is_told(
    house: House, push: Pusher, drafting: Drafting
) -> None:
    """api.md "If-Match required on configuration writes": the later of two saves is 412."""
    await drafting.save(house.administrator, push.directory.id, {"rules": [LOWER]}, 0)
    with pytest.raises(Stale):
        await drafting.save(house.administrator, push.directory.id, {}, 0)
    assert (await drafting.get(house.project, push.directory.id)).compiled.lines


async def test_only_an_administrators_session_writes_logons(
    house: House, push: Pusher, drafting: Drafting
) -> None:
    """Safety 9: a key with every scope is refused a mapping that writes logons, and may preview."""
    said = {"rules": [{"to": "logons.EHR", "rule": "upper", "from": ["userName"]}]}
    with pytest.raises(Forbidden) as refused:
        await drafting.save(key(house), push.directory.id, said, None)
    assert refused.value.reason == "administrator-needed"
    body = {"document": {"userName": "kim"}, "mapping": said}
    tried = await drafting.preview(house.project, push.directory.id, body)
    assert tried.after == {"userName": "kim", "logons.EHR": "KIM"}
    await drafting.save(house.administrator, push.directory.id, said, None)


BAD: list[tuple[dict[str, Any], str, str, str | None]] = [
    ({"rulez": []}, "/rulez", "unknown_field", "rules"),
    ({"rules": {}}, "/rules", "not_a_list", None),
    ({"rules": [7]}, "/rules/0", "not_an_object", None),
    ({"rules": [LOWER, LOWER]}, "/rules/1/to", "filled_twice", None),
    ({"rules": [LOWER | {"to": "emial"}]}, "/rules/0/to", "not_a_choice", "email"),
    (
        {"rules": [LOWER | {"to": "custom.shoesize"}]},
        "/rules/0/to",
        "not_a_choice",
        "custom.shoeSize",
    ),
    ({"rules": [LOWER | {"to": "logons.EHT"}]}, "/rules/0/to", "not_a_choice", "logons.EHR"),
    ({"rules": [LOWER | {"rule": "lowercase"}]}, "/rules/0/rule", "not_a_choice", "lower"),
    ({"rules": [LOWER | {"form": ["x"]}]}, "/rules/0/form", "unknown_field", "from"),
    ({"rules": [LOWER | {"from": []}]}, "/rules/0/from", "wrong_count", None),
    ({"rules": [LOWER | {"from": ["a", "b"]}]}, "/rules/0/from", "wrong_count", None),
    ({"rules": [LOWER | {"from": ["password"]}]}, "/rules/0/from/0", "never_there", None),
    ({"rules": [LOWER | {"from": ["emails["]}]}, "/rules/0/from/0", "never_there", None),
    ({"rules": [LOWER | {"required": "yes"}]}, "/rules/0/required", "not_a_boolean", None),
    ({"rules": [LOWER | {"rule": "regex"}]}, "/rules/0/pattern", "not_text", None),
    (
        {"rules": [LOWER | {"rule": "regex", "pattern": "(?=a)"}]},
        "/rules/0/pattern",
        "not_usable",
        None,
    ),
    ({"rules": [LOWER | {"rule": "lookup"}]}, "/rules/0/table", "required", None),
    (
        {"rules": [LOWER | {"rule": "lookup", "table": {"a": 1}}]},
        "/rules/0/table/a",
        "not_text",
        None,
    ),
    (
        {"rules": [LOWER | {"rule": "name_format", "format": "{first}"}]},
        "/rules/0/format",
        "not_usable",
        None,
    ),
    ({"ignore": [""]}, "/ignore/0", "required", None),
    ({"match": ["email", "username"]}, "/match/1", "not_a_choice", "userName"),
    ({"unmatched": "skipp"}, "/unmatched", "not_a_choice", "skip"),
]


@pytest.mark.parametrize(("said", "pointer", "code", "near"), BAD, ids=[bad[1] for bad in BAD])
async def test_a_bad_mapping_is_refused_where_it_is_wrong(
    house: House,
    push: Pusher,
    drafting: Drafting,
    said: dict[str, Any],
    pointer: str,
    code: str,
    near: str | None,
) -> None:
    """422 with a pointer to each problem and the nearest right word; nothing is stored. A draft of
    a preview is refused alike.
    """
    with pytest.raises(Invalid) as refused:
        await drafting.save(house.administrator, push.directory.id, said, None)
    found = {each.pointer: each for each in refused.value.problems}
    assert (found[pointer].code, found[pointer].did_you_mean) == (code, near)
    assert (await drafting.get(house.project, push.directory.id)).current == 0
    body = {"document": {"userName": "kim"}, "mapping": said}
    with pytest.raises(Invalid) as refused:
        await drafting.preview(house.project, push.directory.id, body)
    assert f"/mapping{pointer}" in [each.pointer for each in refused.value.problems]


async def test_a_preview_goes_step_by_step_and_writes_nothing(
    house: House, push: Pusher, drafting: Drafting
) -> None:
    """R120, admin-ui 3.5: one record through a draft, each rule with what went in and came out,
    before and after, warnings; and every row of the database is as it was.
    """
    kim = await push.user("Kim", externalId="x-1", shoeSize=44, hat="red", title="RN")
    before = await everything(house.db)
    lookup = {"to": "givenName", "rule": "lookup", "from": ["title"], "table": {"MD": "Doctor"}}
    body: dict[str, Any] = {"mapping": {"rules": [SHOE, LOWER | {"to": "userName"}, lookup]}}
    previews = [
        await drafting.preview(house.project, push.directory.id, body | {way: value})
        for way, value in (
            ("user_id", kim["id"]),
            ("external_id", "x-1"),
            ("document", {"userName": "KIM", "shoeSize": 44, "hat": "red", "title": "RN"}),
        )
    ]
    assert await everything(house.db) == before
    for preview in previews:
        read, match, *maps = preview.steps
        assert read.output["extras"] == {"shoeSize": 44, "hat": "red"}
        assert (match.step, match.output) == ("match", kim["id"])
        assert [(step.input, step.output) for step in maps] == [
            ({"shoeSize": [44]}, "44"),
            ({"userName": [read.output["document"]["userName"]]}, "kim"),
            ({"title": ["RN"]}, None),
        ]
        assert maps[2].rendered()["error"] == "The table has no line for what is there."
        assert preview.before == {"userName": "Kim"}
        assert preview.after == {"userName": "kim", "custom.shoeSize": "44"}
        assert [each.attribute for each in preview.warnings] == ["title", "hat"]
        assert preview.error is None
    saved = await drafting.preview(house.project, push.directory.id, {"user_id": kim["id"]})
    assert (saved.after, len(saved.steps)) == ({"userName": "Kim"}, 2)


async def test_a_preview_tells_who_would_be_new_and_who_would_fail(
    house: House, push: Pusher, drafting: Drafting
) -> None:
    """T7: nobody matched is created or skipped; a required attribute that is empty is the record's
    failure, with its reason.
    """

    async def tried(**mapping: Any) -> Preview:
        body = {"document": {"userName": "new", "externalId": "x-9"}, "mapping": mapping}
        return await drafting.preview(house.project, push.directory.id, body)

    match = (await tried()).steps[-1]
    assert (match.input, match.output) == ({"externalId": "x-9", "userName": "new"}, "create")
    assert (await tried(unmatched="skip")).steps[-1].output == "skip"
    failed = await tried(rules=[SHOE | {"required": True}])
    assert (failed.before, failed.after) == (None, None)
    assert failed.error is not None
    assert failed.error.reason == "required-attribute-empty"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"user_id": "usr_1", "external_id": "x"}, ""),
        ({"document": []}, "/document"),
        ({"document": {"displayName": "nameless"}}, "/document"),
        ({"user": "usr_1"}, "/user"),
    ],
)
async def test_a_preview_names_one_record(
    house: House, push: Pusher, drafting: Drafting, body: dict[str, Any], pointer: str
) -> None:
    """Exactly one of user_id, external_id and a document that SCIM would accept."""
    with pytest.raises(Invalid) as refused:
        await drafting.preview(house.project, push.directory.id, body)
    assert pointer in [each.pointer for each in refused.value.problems]


async def test_nobody_else_is_near(house: House, push: Pusher, drafting: Drafting) -> None:
    """Safety 1, 3: a directory of another project, and a person of another directory, are not
    there; neither to read, nor to save, nor to try.
    """
    strange = await pushing.house(house.db, "other")
    id = push.directory.id
    for asked in (
        drafting.get(strange.project, id),
        drafting.save(strange.administrator, id, {}, None),
        drafting.preview(strange.project, id, {"document": {"userName": "kim"}}),
    ):
        with pytest.raises((NotFound, Stale)) as refused:
            await asked
        assert refused.type is NotFound
    async with pushing.calling(house, "Other") as other:
        pat = await other.user("pat", externalId="x-1")
    for said in ({"user_id": pat["id"]}, {"external_id": "x-1"}, {"user_id": "usr_none"}):
        with pytest.raises(NotFound):
            await drafting.preview(house.project, id, said)


async def test_a_mapping_is_read_once_a_version(db: Database) -> None:
    """The default costs no statement; a saved one costs one for each process and version."""
    watched = Watched(db)
    house = await pushing.house(watched)
    mappings = Mappings(watched, CATALOGUE)
    drafting = Drafting(watched, Mappings(watched, CATALOGUE))
    directory, _ = await house.directory()
    watched.clear()
    assert await watched.read(mappings.of, directory) is DEFAULT
    assert watched.asked == []
    for version in (1, 2):
        await drafting.save(house.administrator, directory.id, {"rules": [LOWER]}, None)
        now = await watched.read(directories.get, house.project, directory.id)
        watched.clear()
        found = [await watched.read(mappings.of, now) for _ in range(3)]
        assert [each.version for each in found] == [version] * 3
        assert len(watched.asked) == 1
