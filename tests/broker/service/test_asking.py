"""The question of resolve, read strictly."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from broker.domain.errors import Invalid
from broker.domain.subjects import Subject
from broker.service.asking import StepRequest, digest

QUESTION: dict[str, Any] = {
    "connector": "salesforce",
    "step": {"id": "s4", "type": "retrieve_data", "scopes": ["api"]},
    "execution": {"id": "r-88412", "flow": "close-contract", "attempt": 2},
    "subject": {"user_name": "kim.lee@acme.example"},
    "interactive": True,
}

scopes = some.text(
    some.characters(min_codepoint=33, max_codepoint=126, exclude_characters='"\\'), min_size=1
)
words = some.text(some.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


def test_the_question_of_the_contract() -> None:
    """api.md "Resolve": every member of the example is read, the rest has its default."""
    assert StepRequest.parse(QUESTION) == StepRequest(
        connector="salesforce",
        step="s4",
        step_type="retrieve_data",
        scopes=("api",),
        execution="r-88412",
        flow="close-contract",
        attempt=2,
        subject=Subject(user_name="kim.lee@acme.example"),
        interactive=True,
        credential=True,
    )


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        ({"conector": "x"}, ["/conector unknown_field connector"]),
        ({"connector": None}, ["/connector required"]),
        ({"connector": ""}, ["/connector required"]),
        ({"connector": 7}, ["/connector not_text"]),
        ({"connector": "sales\u200bforce"}, ["/connector hidden_character"]),
        ({"connector": "x" * 257}, ["/connector too_long"]),
        ({"step": None}, ["/step required", "/step/id required", "/step/type required"]),
        ({"step": "s4"}, ["/step not_an_object"]),
        ({"step": {"id": "s", "typ": "t"}},
         ["/step/typ unknown_field type", "/step/type required"]),
        ({"step": {"id": "s", "type": "t", "scopes": "api"}}, ["/step/scopes not_a_list"]),
        ({"step": {"id": "s", "type": "t", "scopes": [7]}}, ["/step/scopes/0 not_text"]),
        ({"step": {"id": "s", "type": "t", "scopes": ["a b"]}}, ["/step/scopes/0 not_a_scope"]),
        ({"step": {"id": "s", "type": "t", "scopes": ["a", 'b"']}},
         ["/step/scopes/1 not_a_scope"]),
        ({"step": {"id": "s", "type": "t", "scopes": ["a\\"]}}, ["/step/scopes/0 not_a_scope"]),
        ({"step": {"id": "s", "type": "t", "scopes": ["\u00e4"]}}, ["/step/scopes/0 not_a_scope"]),
        ({"execution": {"id": "r", "attempt": 0}}, ["/execution/attempt not_a_number"]),
        ({"execution": {"id": "r", "attempt": True}}, ["/execution/attempt not_a_number"]),
        ({"execution": {"id": "r", "attempt": 1.5}}, ["/execution/attempt not_a_number"]),
        ({"interactive": "no"}, ["/interactive not_a_boolean"]),
        ({"subject": "kim"}, ["/subject not_an_object"]),
        ({"subject": {}}, ["/subject not_one_person"]),
        ({"subject": {"user_id": "usr_1", "user_name": "kim"}}, ["/subject not_one_person"]),
        ({"a~b/c": 1}, ["/a~0b~1c unknown_field"]),
    ],
)  # fmt: skip
def test_what_is_wrong(change: dict[str, Any], problems: list[str]) -> None:
    """api.md: unknown members are 422 with a pointer and a did-you-mean; all problems at once.

    A scope is a scope-token (RFC 6749 §3.3): no other could ever be granted.
    """
    with pytest.raises(Invalid) as refused:
        StepRequest.parse(QUESTION | change)
    found = [(one.pointer, one.code, one.did_you_mean) for one in refused.value.problems]
    assert [" ".join(filter(None, one)) for one in found] == problems


def test_subject_has_to_be_said() -> None:
    """F13: nobody is `null`; a question that forgets its subject is refused, not run by others."""
    with pytest.raises(Invalid) as refused:
        StepRequest.parse({name: said for name, said in QUESTION.items() if name != "subject"})
    assert [one.pointer for one in refused.value.problems] == ["/subject"]
    assert StepRequest.parse(QUESTION | {"subject": None}).subject is None


@pytest.mark.parametrize("body", [None, [], "x", 7, True])
def test_body_that_is_no_object(body: object) -> None:
    """api.md: a body that is no object is one problem, at its root."""
    with pytest.raises(Invalid) as refused:
        StepRequest.parse(body)
    assert [(one.pointer, one.code) for one in refused.value.problems] == [("", "not_an_object")]


@given(
    some.builds(
        StepRequest,
        connector=words,
        step=words,
        step_type=words,
        execution=words,
        subject=some.none() | some.builds(Subject, user_name=words, user_id=some.none(),
                                          directory=some.none() | words, external_id=some.none(),
                                          logon=some.none(), suffix=some.none()),
        attempt=some.integers(1, 2**31 - 1),
        flow=some.none() | words,
        scopes=some.lists(scopes, unique=True).map(lambda found: tuple(sorted(found))),
        interactive=some.booleans(),
        credential=some.just(True),
    )
)  # fmt: skip
def test_question_comes_back(request: StepRequest) -> None:
    """Safety 23: what is kept of a question reads as the same question, and hashes alike."""
    again = StepRequest.parse(request.question)
    assert again == request
    assert digest(again.document) == digest(request.document)
