"""What AuthenticateUser is asked, read strictly."""

from __future__ import annotations

from typing import Any

import pytest

from broker.domain.actions import Expected, UnknownItemName
from broker.domain.errors import Invalid
from broker.service.acting import ActionRequest
from providers.secret import Secret

EHR = "AuthenticateUser.In.ExpectedUserLogon.EHR"


def test_request_of_the_contract() -> None:
    """b.2: items, evidence, suffixes and mode are read; what is left out has its default."""
    assert ActionRequest.parse(
        {
            "items": {EHR: "ksmith"},
            "evidence": {"type": "id_token", "value": "a.b.c"},
            "suffixes": ["SmartFlows", "EHR", "ehr"],
            "mode": "sync",
            "return_url": "https://engine.example/back",
        }
    ) == ActionRequest(
        expected=(Expected("EHR", "ksmith"),),
        suffixes=("SmartFlows", "EHR"),
        id_token=Secret("a.b.c"),
        is_async=False,
        return_url="https://engine.example/back",
    )
    assert ActionRequest.parse({}) == ActionRequest()
    assert ActionRequest.parse({"evidence": {"type": "none"}}) == ActionRequest()


def test_evidence_is_never_shown() -> None:
    """Safety 28: whatever prints the request shows no id_token."""
    request = ActionRequest.parse({"evidence": {"type": "id_token", "value": "canary"}})
    assert "canary" not in repr(request)


@pytest.mark.parametrize(
    "item",
    ["authenticateuser.in.expecteduserlogon.EHR", "AUTHENTICATEUSER.IN.EXPECTEDUSERLOGON.EHR"],
)
def test_items_in_any_case(item: str) -> None:
    """R101: item names are understood whatever their case; suffix and value stay as sent."""
    assert ActionRequest.parse({"items": {item: "kSmith"}}).expected == (Expected("EHR", "kSmith"),)


@pytest.mark.parametrize(
    "item",
    [
        "AuthenticateUser.In.ExpectedUser.EHR",
        "AuthenticateUser.Ou.Status",
        EHR[:-4],
        EHR + "\u200b",
    ],
)
def test_unknown_items(item: str) -> None:
    """R102: an item AuthenticateUser does not have is refused as such, by the standard's name."""
    with pytest.raises(UnknownItemName) as refused:
        ActionRequest.parse({"items": {item: "x"}})
    assert refused.value.more == {"ccowException": "UnknownItemName"}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"item": {}}, "/item unknown_field items"),
        ({"items": []}, "/items not_an_object"),
        ({"items": {EHR: 7}}, f"/items/{EHR} not_text"),
        ({"items": {f"{EHR}{n}": "" for n in range(51)}}, "/items too_many"),
        ({"evidence": "id_token"}, "/evidence not_an_object"),
        ({"evidence": {"type": "session"}}, "/evidence/type not_a_choice"),
        ({"evidence": {"type": "id_tokn", "value": "x"}}, "/evidence/type not_a_choice id_token"),
        ({"evidence": {"type": "id_token"}}, "/evidence/value not_text"),
        ({"evidence": {"type": "id_token", "value": "x" * 16385}}, "/evidence/value not_text"),
        ({"evidence": {"type": "none", "cookie": "x"}}, "/evidence/cookie unknown_field"),
        ({"suffixes": ["a\u202eb"]}, "/suffixes/0 hidden_character"),
        ({"suffixes": ["x" * 65]}, "/suffixes too_long"),
        ({"mode": "later"}, "/mode not_a_choice"),
        ({"return_url": 7}, "/return_url not_text"),
    ],
)
def test_what_is_wrong(body: dict[str, Any], problem: str) -> None:
    """api.md, safety 28: unknown members, other evidence and hidden characters are 422."""
    with pytest.raises(Invalid) as refused:
        ActionRequest.parse(body)
    [first, *_] = refused.value.problems
    assert " ".join(filter(None, (first.pointer, first.code, first.did_you_mean))) == problem
