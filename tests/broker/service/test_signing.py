"""The project's own signature under the answers of AuthenticateUser."""

from __future__ import annotations

import asyncio

from broker.domain.callers import Caller
from broker.service.signing import Signing, canonical
from tests.detached import is_signed
from tests.proof import (
    NAME,
    evidence,
    known,
    request,
)
from tests.stepping import World


async def test_signed_answers(at: World, engine: Caller) -> None:
    """b.2: each answer is signed over coupon and items by the project's key that discovery shows;
    a changed item breaks the signature.
    """
    await known(at)
    discovery = await at.authenticating.discovery(engine)
    keys = discovery["keys"]
    answer = (await at.authenticating.perform(engine, request(evidence(at)))).rendered()
    said = {"actionCoupon": answer["actionCoupon"], "items": answer["items"]}
    assert is_signed(canonical(said), answer["managerSignature"], keys)
    forged = said | {"items": answer["items"] | {NAME: "Doe^John"}}
    assert not is_signed(canonical(forged), answer["managerSignature"], keys)
    assert await at.authenticating.discovery(engine) == discovery


async def test_one_signing_key(at: World) -> None:
    """b.2: two processes that need the project's first key at once end up with one, sealed."""
    several = [Signing(at.db, at.seal) for _ in range(4)]
    shown = await asyncio.gather(*(one.public(at.project) for one in several))
    assert len({one["kid"] for one in shown}) == 1
    assert {one["crv"] for one in shown} == {"P-256"}
    [kept] = await at.rows("SELECT signing_key, signing_public FROM projects")
    assert b'"d"' not in kept["signing_key"]
    assert '"d"' not in kept["signing_public"]
