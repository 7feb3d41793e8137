"""A connector of every kind of program, as an administrator types it, and the other side of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import broker.demo
from broker.demo.grants import App
from broker.demo.simulator import Simulator
from tests import farm
from tests.canaries import HANDED, planted

FILE = Path(broker.demo.__file__).with_name("programs.json")
"""For BROKER_PROGRAMS: the operator's own kinds of program."""
CLIENT = "consumer-key"
SECRET = planted("consumer")
PASSWORD = planted("password", HANDED)  # it is the credential of a step (R24)
ROBOT = "automation@acme.example"
APP = {"client_id": CLIENT, "client_secret": SECRET}


@dataclass(frozen=True, slots=True)
class Way:
    """One kind of program, in one of its integrations; `step` is one that runs there."""

    type: str
    integration: str | None
    fields: dict[str, str]
    step: str = "retrieve_data"
    options: dict[str, str] = field(default_factory=dict)
    people: bool = True
    """Whether people sign in there themselves."""
    minted: bool = False
    """Whether the connector user's tokens come about without a sign-in."""

    @property
    def name(self) -> str:
        """What its connector is called."""
        return "-".join(filter(None, (self.type, self.integration))).replace("_", "-")

    @property
    def form(self) -> dict[str, Any]:
        """The whole wizard at once."""
        said: dict[str, Any] = {"name": self.name, "type": self.type, "fields": self.fields}
        said["environment"] = {"name": "rehearsal"}
        if self.options:
            said["options"] = self.options
        if self.integration:
            said["integration"] = self.integration
        return said


def ways(simulator: Simulator, public_url: str) -> tuple[Way, ...]:
    """Every way there is, with the pretend programs knowing the broker at `public_url`."""
    certificate, key = farm.signed()
    app = App(CLIENT, SECRET, redirect_prefix=f"{public_url}/oauth/callback/")
    for program in simulator.programs.values():
        program.state.register(replace(app, certificate=certificate))
    simulator.farm.trusted[farm.ISSUER] = certificate
    simulator.farm.passwords[ROBOT] = PASSWORD
    robot = simulator.docusign.state.users[ROBOT].id
    simulator.docusign.consents.add((CLIENT, robot))
    online = APP | {"tenant": simulator.entra.tenant, "site": "acme.sharepoint.com/sites/flows"}
    trusted = farm.FIELDS | {"certificate": certificate, "private_key": key}
    impersonating = APP | {"user_id": robot, "private_key": key}
    named = {"user_name": ROBOT, "password": PASSWORD}
    alone: dict[str, Any] = {"people": False, "minted": True}
    return (
        Way("salesforce", None, APP, options={"buttons": "skip"}),
        Way("sharepoint_online", "delegated", online),
        Way("sharepoint_online", "app_only", online, **alone),
        Way("sharepoint_server", "high_trust", trusted, **alone),
        Way("sharepoint_server", "oidc", APP),
        Way("sharepoint_server", "password", named, **alone),
        Way("docusign", "code", APP, "send_envelope"),
        Way("docusign", "jwt", impersonating, "send_envelope", minted=True),
        Way("tickets", None, APP, "read_tickets", minted=True),
    )
