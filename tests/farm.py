"""A farm that trusts a certificate, and a connector whose tokens are minted with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from broker.db.database import Transaction
from broker.demo.sharepoint import REALM, sid
from broker.domain.connectors import Connector
from broker.domain.users import User
from broker.service.asking import StepRequest
from broker.service.projects import Projects
from broker.store import logons
from providers.secret import Secret
from tests.stepping import World, asked

ISSUER = "11111111-2222-4333-8444-555555555555"
CLIENT = "aaaaaaaa-2222-4333-8444-555555555555"
SUFFIX = "AD"
FIELDS = {
    "client_id": CLIENT,
    "issuer_id": ISSUER,
    "realm": REALM,
    "person_suffix": "ad",  # as somebody spelt it; the suffix was declared as AD
}


@cache
def signed() -> tuple[str, str]:
    """A certificate and its private key, in PEM."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1))
    certificate = builder.not_valid_after(now + timedelta(days=400)).sign(key, hashes.SHA256())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    return certificate.public_bytes(pem).decode(), secret.decode()


async def high_trust(at: World, name: str = "SharePoint", **more: Any) -> Connector:
    """A connected SharePoint Server whose people are known by their SID, the logon of AD."""
    certificate, key = signed()
    at.simulator.farm.trusted[ISSUER] = certificate
    await Projects(at.db, at.seal).change(at.project, by="test", suffixes=[SUFFIX])
    connector = await at.connector(
        name,
        type="sharepoint_server",
        integration="high_trust",
        fields=FIELDS | {"certificate": certificate},
        **more,
    )

    def protecting(tx: Transaction) -> None:
        at.programs.protect(tx, connector, "private_key", Secret(key), by="admin:setup")

    await at.db.write(protecting)
    return connector


async def known(at: World, user: User, number: int) -> str:
    """Give the person the SID of an employee of the farm; it."""
    value = sid(number)
    assert await at.db.write(logons.put, at.project, user.id, SUFFIX, value)
    return value


def at_the_farm(user: User | None, **more: Any) -> StepRequest:
    """A step at the farm, for this person."""
    subject = {"user_name": user.user_name} if user else None
    return asked(subject, connector="sharepoint", **more)
