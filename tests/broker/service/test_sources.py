"""The source of a directory, opened: its secrets go to the origin they were typed for alone."""

from __future__ import annotations

import pytest

from broker.domain.errors import Conflict
from broker.service.programs import MustEnterAgain
from tests.pulling import served
from tests.pushing import House


async def test_opening_is_in_the_audit(house: House) -> None:
    """R46: each opening of a secret is written down with its purpose, and never the secret."""
    async with served(house) as (puller, _):
        opened = puller.pulling.sources.opened
        await house.db.write(opened, await puller.directory(), purpose="pull")
        (line,) = await house.rows(
            "SELECT * FROM audit WHERE project_id = :project AND action = 'directory.secret.opened'"
        )
        assert line["target"] == puller.id
        assert "pull" in line["detail"]
        assert "canary" not in str(line)


async def test_another_host_gets_no_secret(house: House) -> None:
    """Safety 18: where the settings name another origin, the fields have to be entered again."""
    async with served(house) as (puller, simulator):
        await puller.configure(source={"kind": "scim", "settings": {"base_url": "https://a.b"}})
        with pytest.raises(MustEnterAgain):
            await house.db.write(
                puller.pulling.sources.opened, await puller.directory(), purpose="pull"
            )
        view = await puller.pull()
        assert view.run.reason == "credentials-refused"
        assert simulator.hr.calls.total() == 0


async def test_a_directory_that_only_pushes_cannot_be_read(house: House) -> None:
    """Without a source there is nothing to open, and nothing begins."""
    async with served(house) as (puller, _):
        await puller.configure(source=None)
        with pytest.raises(Conflict) as refused:
            await puller.begin()
        assert refused.value.reason == "no-source"
