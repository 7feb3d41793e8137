"""What can go wrong, and what the caller may know of it."""

from __future__ import annotations

import pytest

from broker.domain import errors

CODES = [
    (errors.BrokerError, "internal", False),
    (errors.Invalid, "invalid", False),
    (errors.Unknown, "unauthenticated", False),
    (errors.Forbidden, "forbidden", False),
    (errors.NotFound, "not_found", False),
    (errors.Conflict, "conflict", False),
    (errors.Stale, "stale", False),
    (errors.Unavailable, "unavailable", True),
]


@pytest.mark.parametrize(("kind", "code", "retryable"), CODES, ids=[row[1] for row in CODES])
def test_each_error_has_its_code(
    kind: type[errors.BrokerError], code: str, retryable: bool
) -> None:
    """The tree of the module's docstring: one code each; only Unavailable is worth a repeat."""
    error = kind()
    assert (error.code, error.reason, error.retryable) == (code, code, retryable)


def test_without_a_hint_the_caller_reads_the_docstring() -> None:
    """The docstring is what the caller reads (layout.md, section 5)."""
    assert str(errors.NotFound()) == "There is no such thing, or it is not yours to see."


def test_an_error_carries_what_the_caller_can_do() -> None:
    """Reason, remedy, problems and a time to wait travel with the error (RFC 9457)."""
    problem = errors.Problem("/name", "required", "The name must not be empty", "title")
    error = errors.Invalid(
        "One problem", reason="bad-name", next="Name it.", problems=(problem,), retry_after_s=3
    )
    assert (str(error), error.reason, error.next) == ("One problem", "bad-name", "Name it.")
    assert (error.problems, error.retry_after_s) == ((problem,), 3)


def test_a_problem_alone_refuses_a_request() -> None:
    """Its sentence is the answer's, its code in kebab-case the reason unless another is said."""
    problem = errors.Problem("/name", "name_mismatch", "Type the name as it is.")
    error = problem.alone(next="Type it again.")
    assert (str(error), error.reason, error.next) == (
        "Type the name as it is.",
        "name-mismatch",
        "Type it again.",
    )
    assert error.problems == (problem,)
    assert problem.alone(reason="other-name").reason == "other-name"
