"""People who prove who they are with id_tokens of the pretend identity provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from broker.db.database import Transaction
from broker.demo.people import PEOPLE
from broker.domain.callers import Caller
from broker.domain.users import Status, User
from broker.service.acting import ActionRequest
from broker.store import logons, projects
from tests.stepping import World

AUDIENCE = "flow-engine"
PERSON, OTHER = PEOPLE[0], PEOPLE[1]
STATUS = "AuthenticateUser.Ou.Status"
NAME = "AuthenticateUser.Ou.Name"


async def believing(at: World) -> World:
    """The same project, once it believes the pretend identity provider."""
    issuer = at.simulator.identity.issuer
    await at.db.write(projects.set_oidc, at.project, issuer, "broker", None, "sub=externalId")
    return at


async def known(
    at: World, status: Status = Status.ACTIVE, *, held: Mapping[str, str] | None = None
) -> User:
    """The first employee, with these logons by suffix."""
    user = await at.person(PERSON.user_name, status, external_id=PERSON.external_id)

    def mapping(tx: Transaction) -> None:
        for suffix, logon in (held or {}).items():
            logons.declare(tx, at.project, suffix)
            logons.put(tx, at.project, user.id, suffix, logon)

    await at.db.write(mapping)
    return user


def evidence(at: World, **changed: Any) -> str:
    """A fresh id_token of the first employee, with some things changed."""
    minted: dict[str, Any] = {"person": PERSON, "audience": AUDIENCE} | changed
    return at.simulator.identity.mint(minted.pop("person"), minted.pop("audience"), **minted)


def request(token: str | None, *suffixes: str, **expected: str) -> ActionRequest:
    """A request that wants its answer now; expected logons by suffix."""
    items = {
        f"AuthenticateUser.In.ExpectedUserLogon.{suffix}": logon
        for suffix, logon in expected.items()
    }
    proof = {"type": "id_token", "value": token} if token else {"type": "none"}
    return ActionRequest.parse(
        {"items": items, "evidence": proof, "suffixes": list(suffixes), "mode": "sync"}
    )


async def performed(at: World, caller: Caller, asked: ActionRequest) -> dict[str, Any]:
    """The answer as JSON, without what is new each time."""
    answer = (await at.authenticating.perform(caller, asked)).rendered()
    assert answer.pop("actionCoupon") > 0
    assert answer.pop("managerSignature")
    return answer


def logon(suffix: str) -> str:
    """The name of an output."""
    return f"AuthenticateUser.Ou.Logon.{suffix}"
