"""A described program at the border: the demo's Tickets, our registration, the host's answers."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import orjson
import respx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from providers import custom
from providers.capabilities import Registration, TokenResponse
from providers.definition import SIGN_IN, Definition
from providers.egress import Egress
from providers.program import Program
from providers.secret import Secret
from providers.speech import Speech
from tests.canaries import planted
from tests.providers.forging import RSA

FILE = Path(__file__).parents[2] / "broker" / "demo" / "programs.json"
TICKETS = custom.load(FILE)[0]
HOST = "https://tickets.example.com"
TOKEN, INTROSPECT = f"{HOST}/oauth/token", f"{HOST}/oauth/introspect"
REVOKE, USERINFO = f"{HOST}/oauth/revoke", f"{HOST}/oauth/userinfo"
KIM = {"sub": "u-7", "email": "kim@acme.example", "name": "Kim Lee"}
ANSWER = {"access_token": "at-1", "refresh_token": "rt-1", "expires_in": 3600, "scope": "tickets"}
CANARIES = tuple(planted(name) for name in ("code", "verifier", "secret", "refresh"))
PEM = RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@dataclass
class Border:
    """A program, who we are there, and what its host answers."""

    program: Program
    registration: Registration
    host: respx.Router
    answer: dict[str, Any] = field(default_factory=lambda: dict(ANSWER))

    def answers(self, **changed: object) -> respx.Route:
        body = {name: value for name, value in {**self.answer, **changed}.items() if value != ""}
        return self.host.post(TOKEN).respond(200, json=body)

    def is_kim(self, **changed: object) -> respx.Route:
        return self.host.get(USERINFO).respond(200, json={**KIM, **changed})

    def alive(self, body: Mapping[str, object], **headers: str) -> respx.Route:
        return self.host.post(INTROSPECT).respond(200, json=body, headers=headers)

    async def exchange(self, **answer: str) -> TokenResponse:
        said = {"code": CANARIES[0], "iss": HOST, **answer}
        return await self.program.exchange(
            self.registration,
            answer={name: value for name, value in said.items() if value},
            verifier=Secret(CANARIES[1]),
        )

    async def refresh(self, *scopes: str) -> TokenResponse:
        return await self.program.refresh(self.registration, Secret(CANARIES[3]), scopes=scopes)

    def speaking(self, **changed: Any) -> Border:
        """The same with another Speech, and everybody signing in."""
        definition = replace(TICKETS.definition, method=SIGN_IN)
        return self.with_program(definition, replace(TICKETS.speech, **changed))

    def with_program(self, definition: Definition, speech: Speech) -> Border:
        program = Program(self.program._egress, definition, {"": speech})
        return replace(self, program=program)

    def registered(self, **changed: Any) -> Border:
        return replace(self, registration=replace(self.registration, **changed))


@asynccontextmanager
async def bordering() -> AsyncIterator[Border]:
    """Tickets in its cloud, with a client id and a secret."""
    egress = Egress()
    place = TICKETS.definition.environment("cloud")
    assert place is not None
    registration = Registration(
        environment=place,
        origin=place.origin_of(),
        redirect_uri="https://broker.example/oauth/callback/con_1",
        fields={"client_id": "ours"},
        secrets={"client_secret": Secret(CANARIES[2])},
    )
    with respx.mock(assert_all_called=False) as host:
        yield Border(Program(egress, TICKETS.definition, {"": TICKETS.speech}), registration, host)
    await egress.aclose()


def basic(client_id: str, secret: str) -> str:
    """What a client sends that proves itself by HTTP Basic."""
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def sent(route: respx.Route) -> dict[str, str]:
    """The form of the last call."""
    return {
        name: values[0]
        for name, values in parse_qs(route.calls.last.request.content.decode()).items()
    }


def proven(jwt: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a JWT that the RSA key of the tests signed."""
    head, body, signature = jwt.split(".")
    RSA.public_key().verify(
        _raw(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    return orjson.loads(_raw(head)), orjson.loads(_raw(body))


def _raw(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
