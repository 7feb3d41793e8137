"""Clients that sign in place of knowing a secret (RFC 7523), and keys as people paste them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from providers import clients
from providers.assertions import BY_ASSERTION, EARLY_S, JWT_BEARER, LIFE_S
from providers.definition import Method, Source
from providers.errors import ClientMisconfigured
from providers.secret import Secret
from tests.providers.bordering import (
    HOST,
    PEM,
    TICKETS,
    TOKEN,
    Border,
    bordering,
    proven,
    sent,
)

BY_KEY = {"client_id": "ours", "client_authentication": "certificate"}
ONE_LINE = PEM.replace("\n", " ")


@pytest.fixture
async def border() -> AsyncIterator[Border]:
    async with bordering() as made:
        yield made.registered(fields=BY_KEY, secrets={"private_key": Secret(PEM)})


async def test_a_client_signs_for_itself(border: Border) -> None:
    """R41, RFC 7523 §2.2 and §3: issuer and subject are the client, the audience the endpoint."""
    route = border.answers()
    await border.refresh()
    form = sent(route)
    head, claims = proven(form["client_assertion"])
    assert form["client_assertion_type"] == BY_ASSERTION
    assert form["client_id"] == "ours"
    assert "client_secret" not in form
    assert (head["alg"], head["typ"]) == ("RS256", "JWT")
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("ours", "ours", TOKEN)
    assert claims["exp"] - claims["iat"] == LIFE_S
    assert claims["iat"] - claims["nbf"] == EARLY_S
    await border.refresh()
    assert proven(sent(route)["client_assertion"])[1]["jti"] != claims["jti"]


async def test_a_key_survives_a_form(border: Border) -> None:
    """R41: a PEM block whose line breaks a form turned into spaces is still that key."""
    route = border.answers()
    await border.registered(secrets={"private_key": Secret(ONE_LINE)}).refresh()
    assert proven(sent(route)["client_assertion"])


@pytest.mark.parametrize(
    "private", ["", "nonsense", PEM[:200], "-----BEGIN X-----a-----END X-----"]
)
async def test_what_is_no_key_is_told(border: Border, private: str) -> None:
    """R55: a key that cannot sign is the administrator's to enter again, and stays unsaid."""
    route = border.answers()
    secrets = {"private_key": Secret(private)} if private else {}
    with pytest.raises(ClientMisconfigured) as refused:
        await border.registered(secrets=secrets).refresh()
    assert (private or PEM)[:60] not in str(refused.value)
    assert not route.called


async def test_an_assertion_speaks_for_a_person(border: Border) -> None:
    """RFC 7523 §2.1: who it is for, by whom, with which scopes; the client proves nothing else."""
    definition = replace(
        TICKETS.definition, method=Method(Source.REFRESH, Source.MINTED), integrations=()
    )
    speech = replace(TICKETS.speech, mint="jwt_bearer", subject="{user_id}", audience="{host}")
    told = border.with_program(definition, speech).registered(
        fields=BY_KEY | {"user_id": "u-7"}, secrets={"private_key": Secret(PEM)}
    )
    route = border.answers(refresh_token="")
    border.is_kim()
    given = await told.program.mint(told.registration, None)
    form = sent(route)
    claims = proven(form.pop("assertion"))[1]
    assert form == {"grant_type": JWT_BEARER}
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("ours", "u-7", HOST[8:])
    assert claims["scope"] == "tickets"
    assert given.account is not None
    assert given.account.key == "u-7"
    await told.program.mint(told.registration, "u-8")
    assert proven(sent(route)["assertion"])[1]["sub"] == "u-8"


def test_a_certificate_takes_the_secrets_place() -> None:
    """R41: the choice among the Advanced Options decides which fields are there and required."""
    definition = replace(TICKETS.definition, fields=clients.either())

    def required(**values: str) -> set[str]:
        return {one.name for one in definition.shown(None, values) if one.required}

    assert required() == required(client_authentication="secret") == {"client_secret"}
    assert required(client_authentication="certificate") == {"private_key"}
