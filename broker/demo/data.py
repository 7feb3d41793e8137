"""What the demo holds: people of a directory, a key that may do all, connectors that work."""

from contextlib import suppress
from typing import Any

import httpx

from broker import app
from broker.demo.identity import Client
from broker.demo.people import HEADCOUNT, PEOPLE
from broker.demo.simulator import Simulator
from broker.demo.visitor import CONNECTORS, DOCUSIGN, SALESFORCE, Visitor
from broker.domain.callers import SCOPES, Caller, Kind
from broker.domain.directories import Schedule
from broker.service.configuring import Said
from broker.service.occupied import Occupied
from broker.service.projects import SignIn
from broker.service.signing_in import callback
from broker.service.sourcing import SourceSaid
from broker.store.projects import Project
from broker.wiring import Broker

PROJECT = "default"
DIRECTORY = "Acme"
KEY = "demo"
BY = "demo"
CAPACITY = 100
WINDOW_S = 2
READ = "Acme HR"
HR_TOKEN = "pretend-token"
NEWCOMERS = 40
EACH_MORNING = Schedule("0 6 * * *", "Europe/Berlin", 600)
ACTIVE = 12
CLIENT_ID = "broker-demo"
CLIENT_SECRET = "pretend-secret"
SUFFIXES = ("SmartFlows", "EHR")


async def fill(broker: Broker, pretend: Simulator) -> dict[str, Any]:
    """Fill an empty demo, or bring one of an earlier start up to date; what its visitor needs.

    Keys and tokens are kept as hashes alone, so each start makes new ones and ends the old. The
    pretend programs forget everything, so each start authorizes with them anew.
    """
    project = await broker.projects.named(PROJECT)
    await _sign_in(broker, project, pretend)
    directory, token = await _directory(broker, project)
    await _read(broker, project, pretend)
    key = await _key(broker, project, pretend)
    scim_url = f"{broker.base_url}/scim/v2/{directory}"
    transport = httpx.ASGITransport(app.create(broker, with_worker=False))
    async with httpx.AsyncClient(transport=transport, base_url=broker.base_url) as client:
        visitor = Visitor(client, pretend, key)
        await visitor.push(scim_url, token, PEOPLE)
        await broker.delivering.deliver()  # before anybody comes in without their letter
        await visitor.log_in(PEOPLE[:ACTIVE])
        await visitor.set_up(await broker.callers.setup_link(project.id), CONNECTORS)
        await visitor.connect(PEOPLE[0], SALESFORCE)
        await visitor.connect(PEOPLE[1], DOCUSIGN)
    link = await broker.callers.setup_link(project.id)
    return {
        "scim": {"base_url": scim_url, "token": token, "directory": directory},
        "api_key": {"key": key, "scopes": sorted(SCOPES)},
        "admin_link": f"{broker.base_url}/setup/{link}",
    }


async def _sign_in(broker: Broker, project: Project, pretend: Simulator) -> None:
    """People sign in with the pretend identity provider, whose `sub` is their externalId."""
    pretend.identity.register(
        Client(CLIENT_ID, CLIENT_SECRET, {broker.base_url + callback(project.id)})
    )
    sign_in = SignIn(pretend.identity.issuer, CLIENT_ID, CLIENT_SECRET, "sub=externalId")
    await broker.projects.change(project.id, by=BY, sign_in=sign_in, suffixes=SUFFIXES)
    if (await broker.licensing.state(project.id)).capacity is None:
        await broker.licensing.capacity(Caller(Kind.ADMINISTRATOR, project.id, BY), CAPACITY)


async def _directory(broker: Broker, project: Project) -> tuple[str, str]:
    """The directory's id and a token for it."""
    for view in await broker.configuring.directories(project.id):
        directory = view.directory
        if directory.name == DIRECTORY:
            for old in await broker.callers.tokens(project.id, directory.id):
                if old["revoked_at"] is None:
                    await broker.callers.revoke_token(project.id, old["id"], by=BY)
            return directory.id, await broker.configuring.add_token(project.id, directory.id, by=BY)
    made, token = await broker.configuring.add(project.id, DIRECTORY, by=BY, window_s=WINDOW_S)
    return made.id, token


async def _read(broker: Broker, project: Project, pretend: Simulator) -> None:
    """A second directory, of people nobody pushed: Sync now reads it out of the pretend HR system,
    and so does its schedule.
    """
    pretend.hr.staff.leave(range(1, HEADCOUNT + 1))
    pretend.hr.staff.come(range(HEADCOUNT + 1, HEADCOUNT + 1 + NEWCOMERS))
    pretend.hr.tokens.add(HR_TOKEN)
    by = Caller(Kind.ADMINISTRATOR, project.id, BY)
    source = SourceSaid("scim", {"base_url": pretend.hr.url, "token": HR_TOKEN})
    for view in await broker.configuring.directories(project.id):
        if view.directory.name == READ:
            with suppress(Occupied):  # an earlier start was killed while it read: that goes on
                await broker.configuring.change(by, view.directory.id, Said(source=source))
            return
    made, _ = await broker.configuring.add(project.id, READ, by=BY, source=source)
    await broker.scheduling.change(by, made.id, EACH_MORNING)


async def _key(broker: Broker, project: Project, pretend: Simulator) -> str:
    """A key with every scope, which may show the pretend identity provider's id_tokens."""
    for old in await broker.callers.keys(project.id):
        if old["name"] == KEY and old["revoked_at"] is None:
            await broker.callers.revoke_key(project.id, old["id"], by=BY)
    evidence = [(pretend.identity.issuer, CLIENT_ID)]
    _, key = await broker.callers.add_key(project.id, KEY, SCOPES, by=BY, evidence=evidence)
    return key


PUSHED = (
    '{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],'
    ' "userName": "sam.doe@acme.example", "externalId": "acme-9001", "displayName": "Sam Doe"}'
)
ASKED = (
    '{"connector": "Salesforce", "step": {"id": "s1", "type": "retrieve_data"},'
    ' "execution": {"id": "r-1", "flow": "hello"},'
    ' "subject": {"user_name": "kim.lee@acme.example"}}'
)
