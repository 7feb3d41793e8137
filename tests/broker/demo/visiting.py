"""Whoever uses a pretend program over plain HTTP, without our own providers."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
import orjson
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from broker.demo.grants import App
from broker.demo.oauth import Program
from broker.demo.simulator import Simulator
from tests.broker.demo.stage import CALLBACK, KIM, Form, query_of

SECRET = "app-secret"
VERIFIER = "v" * 43
SCOPES = {
    "salesforce": "api refresh_token",
    "entra": "openid offline_access User.Read",
    "sharepoint": "openid",
    "docusign": "signature extended",
    "tickets": "read",
}
API = {
    "salesforce": "/services/oauth2/userinfo",
    "entra": "/entra/v1.0/me",
    "sharepoint": "/sharepoint/_api/web/currentuser",
    "docusign": "/docusign/oauth/userinfo",
    "tickets": "/tickets/api/tickets",
}
Claims = Mapping[str, object]


class Signer:
    """An RSA key and the certificate of it that a program was given."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the app")])
        now = datetime.now(UTC)
        made = x509.CertificateBuilder(
            issuer_name=name,
            subject_name=name,
            public_key=self._key.public_key(),
            serial_number=1,
            not_valid_before=now,
            not_valid_after=now + timedelta(days=1),
        ).sign(self._key, SHA256())
        self.certificate = made.public_bytes(Encoding.PEM).decode()
        form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.private_key = self._key.private_bytes(*form).decode()
        digest = hashlib.sha1(made.public_bytes(Encoding.DER), usedforsecurity=False).digest()
        self.thumbprint = part(digest)

    def sign(self, claims: Claims, **header: str) -> str:
        """A JWT by RS256, whose header names the certificate."""
        head = {"typ": "JWT", "alg": "RS256", "x5t": self.thumbprint, **header}
        text = f"{part(orjson.dumps(head))}.{part(orjson.dumps(dict(claims)))}"
        return f"{text}.{part(self._key.sign(text.encode(), padding.PKCS1v15(), SHA256()))}"


SIGNERS: dict[str, Signer] = {}


def signer(name: str = "ours") -> Signer:
    """One key for the whole run under each name: they take a while to make."""
    if name not in SIGNERS:
        SIGNERS[name] = Signer()
    return SIGNERS[name]


def part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@dataclass
class Visit:
    """One app at one program, and a browser."""

    simulator: Simulator
    browser: httpx.AsyncClient
    name: str
    app: App = field(init=False)

    def __post_init__(self) -> None:
        self.app = self.program.state.register(
            App("the-app", SECRET, {CALLBACK}, certificate=signer().certificate)
        )

    @property
    def program(self) -> Program:
        return self.simulator.programs[self.name]

    @property
    def at(self) -> str:
        """The program's address; Entra's has the tenant in it."""
        return self.program.base.replace("{tenant}", self.simulator.entra.tenant)

    def question(self, **changed: str) -> dict[str, str]:
        """An authorization request."""
        return {
            "client_id": self.app.client_id,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": SCOPES[self.name],
            "state": "s1",
            "code_challenge": part(hashlib.sha256(VERIFIER.encode()).digest()),
            "code_challenge_method": "S256",
            **changed,
        }

    async def page(self, **changed: str) -> httpx.Response:
        url = self.at + self.program.authorize_path
        return await self.browser.get(url, params=self.question(**changed))

    async def press(
        self, decision: str = "allow", user: str = KIM, **changed: str
    ) -> httpx.Response:
        """Open the consent page and press one of its buttons."""
        shown = await self.page(**changed)
        assert shown.status_code == 200
        form = Form(shown.text)
        assert form.buttons == ["deny", "allow"]
        sent = {**form.fields, "signed_in_as": user, "decision": decision}
        return await self.browser.post(self.at + self.program.authorize_path, data=sent)

    async def code(self, user: str = KIM, **changed: str) -> str:
        back = await self.press(user=user, **changed)
        return query_of(back.headers["location"])["code"]

    async def token(self, **sent: str) -> httpx.Response:
        """A request to the token endpoint by the app's secret."""
        url = self.at + self.program.token_path
        if self.name == "docusign":
            return await self.browser.post(url, data=sent, auth=(self.app.client_id, SECRET))
        named = {"client_id": self.app.client_id, "client_secret": SECRET}
        return await self.browser.post(url, data={**named, **sent})

    async def redeem(self, code: str, **changed: str) -> httpx.Response:
        sent = {"code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER, **changed}
        return await self.token(grant_type="authorization_code", **sent)

    async def connect(self, user: str = KIM, **changed: str) -> dict[str, str]:
        """The whole way of one person, to the token answer."""
        answer = await self.redeem(await self.code(user, **changed))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def refresh(self, token: str, **changed: str) -> httpx.Response:
        sent = {"refresh_token": token, "scope": SCOPES[self.name], **changed}
        return await self.token(grant_type="refresh_token", **sent)

    async def ask(self, token: str, path: str | None = None) -> httpx.Response:
        """The program's API, with an access token."""
        url = self.simulator.base_url + (path or API[self.name])
        return await self.browser.get(url, headers={"Authorization": f"Bearer {token}"})
