"""Connectors of the other kinds, complete but for their last step, beside the pretend programs."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from broker.demo.grants import App
from broker.domain.callers import Caller
from broker.service.forms import Said
from tests.broker.service.outside import CLIENT_ID, CLIENT_SECRET, PUBLIC_URL, ROBOT, Outside
from tests.canaries import planted
from tests.providers.forging import RSA

PRIVATE_KEY = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC_KEY = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
PASSWORD = planted("password")
TENANT = "acme.onmicrosoft.com"
APP = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}


def docusign(world: Outside, integration: str = "code") -> dict[str, Any]:
    """Under `jwt` the connector user's tokens are asked for by a signed assertion."""
    program = world.programs.docusign
    _known(program.state)
    robot = program.state.users[ROBOT].id
    program.consents.add((CLIENT_ID, robot))
    more = {"user_id": robot, "private_key": PRIVATE_KEY} if integration == "jwt" else {}
    return _said("docusign", integration, APP | more)


def sharepoint_online(world: Outside, integration: str = "delegated") -> dict[str, Any]:
    """Under `app_only` the app acts for itself, and nobody can sign in."""
    _known(world.programs.entra.state)
    more = {"tenant": world.programs.entra.tenant, "site": "acme.sharepoint.com/sites/flows"}
    return _said("sharepoint_online", integration, APP | more)


def sharepoint_server(world: Outside, integration: str = "password") -> dict[str, Any]:
    """A name and a password, or an AD FS where people sign in."""
    _known(world.programs.farm.state)
    world.programs.farm.passwords[ROBOT] = PASSWORD
    named = {"user_name": ROBOT, "password": PASSWORD}
    return _said("sharepoint_server", integration, named if integration == "password" else APP)


async def draft(world: Outside, said: dict[str, Any], by: Caller | None = None) -> str:
    """A draft of that kind, in rehearsal; its id."""
    told = dict(said)
    type = told.pop("type")
    view = await world.connecting.create(by or world.administrator, type, Said(**told))
    return view.connector.id


async def minted(world: Outside, said: dict[str, Any]) -> str:
    """A connector of a kind where nobody signs in, connected; its id."""
    id = await draft(world, said)
    await world.connecting.authorize(world.administrator, id)
    await world.connecting.connect(world.administrator, id)
    return id


def _said(type: str, integration: str, fields: dict[str, str]) -> dict[str, Any]:
    place = {"name": "rehearsal"}
    named = {"type": type, "name": type, "integration": integration}
    return named | {"environment": place, "fields": fields}


def _known(state: Any) -> None:
    prefix = PUBLIC_URL + "/oauth/callback/"
    state.register(App(CLIENT_ID, CLIENT_SECRET, redirect_prefix=prefix, certificate=PUBLIC_KEY))
