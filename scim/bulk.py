"""Many requests in one (RFC 7644 section 3.7): done in waves, answered in the order they came."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from scim.batch import ATTEMPTS, Operation, read, steps, wave
from scim.document import is_message, lowered
from scim.errors import Conflict, InvalidSyntax, InvalidValue, MethodNotAllowed, ScimError, TooLarge
from scim.exchange import Answer, Request, refusal
from scim.resources import Attempt, Host
from scim.values import is_empty
from scim.verbs import LONGEST_ID, Verbs, Wish
from scim.wire import decoded

REQUEST_URN = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
RESPONSE_URN = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
WAVE = 50
"""Operations handed to the host at once; then others have their turn (rule 37)."""


async def bulk(request: Request, host: Host) -> Answer:
    """POST /Bulk; a body that is no BulkRequest is counted, as any that nobody can read."""
    if request.method != "POST":
        raise MethodNotAllowed("POST")
    try:
        body = decoded(await request.body(host.catalogue.limits.body_bytes))
        job = Bulk.parse(body, host)
    except ScimError:
        host.note("unreadable")
        raise
    await job.run()
    return job.answer()


@dataclass(frozen=True, slots=True)
class Bulk:
    """One bulk request, and as it runs what became of its operations."""

    host: Host
    operations: Sequence[Operation]
    most_errors: int
    """After so many failures nothing more is tried."""

    @classmethod
    def parse(cls, body: dict[str, Any], host: Host) -> Bulk:
        """What a BulkRequest asks; InvalidSyntax, InvalidValue, TooLarge where it is none of ours.

        An operation that makes no sense fails alone.
        """
        parts = lowered(body)
        said = bool(parts.get("schemas")) or host.tolerance.loose_schemas
        if not said or not is_message(body, REQUEST_URN):
            raise InvalidSyntax(f'"schemas" of a bulk must name {REQUEST_URN}.')
        operations = parts.get("operations")
        if not isinstance(operations, list) or is_empty(operations):
            raise InvalidSyntax('"Operations" must be a list of operations.')
        most = host.catalogue.limits.bulk_operations
        if len(operations) > most:
            raise TooLarge(f"A bulk holds at most {most} operations.")
        errors = parts.get("failonerrors")
        if errors is None:
            return cls(host, read(operations, host), len(operations) + 1)
        if not isinstance(errors, int) or isinstance(errors, bool) or errors < 0:
            raise InvalidValue('"failOnErrors" must be a whole number that is not negative.')
        return cls(host, read(operations, host), max(errors, 1))

    async def run(self) -> None:
        """Do the operations, wave by wave, until all are done or too many failed."""
        pending = steps(self.operations)
        errors = 0
        while pending and errors < self.most_errors:
            now = wave(pending, min(WAVE, self.most_errors - errors))
            await asyncio.gather(*(self._do(step.operations) for step in now))
            errors = sum(each.failed for each in self.operations)
            pending = [each for each in pending if each.operations[0].answer is None]

    def answer(self) -> Answer:
        """The result of each operation that was tried, in the order of the request."""
        results = [_result(each, self.host.base_url) for each in self.operations if each.answer]
        return Answer(200, orjson.dumps({"schemas": [RESPONSE_URN], "Operations": results}))

    async def _do(self, operations: Sequence[Operation]) -> None:
        """One operation, or a circle of POSTs that name one another (section 3.7.1).

        A circle is created without the members it has itself, and then given them. It stands or
        falls as one: what was created is taken back where another of it could not be.
        """
        if len(operations) == 1:
            await _tried(operations[0], self._asked(operations[0]))
            return
        ids = frozenset(each.id for each in operations)
        await _all(_tried(each, self._asked(each, ids)) for each in operations)
        made = [each for each in operations if not each.failed]
        if len(made) == len(operations):
            await _all(_tried(each, _filled(each, each.verbs)) for each in made if each.verbs)
        if lost := next((each for each in operations if each.failed), None):
            await _all(
                _tried(each, self._undone(each, each.verbs, lost)) for each in made if each.verbs
            )

    async def _asked(self, operation: Operation, absent: Collection[str] = ()) -> Answer:
        """What the same request would be answered by itself."""
        verbs, id, data, wish = operation.verbs, operation.id, operation.data, operation.wish
        if verbs is None or operation.problem is not None:
            raise await self._refused(operation, operation.problem or ScimError())
        if lost := [maker for maker in operation.needs if maker.failed]:
            raise await self._refused(operation, _lost(lost[0]))
        match operation.method:
            case "POST":
                return await verbs.create(data, wish, id=id, absent=absent)
            case "PUT":
                return await verbs.replace(id, data, wish)
            case "PATCH":
                return await verbs.patch(id, data, wish)
        return await verbs.delete(id, wish)

    async def _undone(self, operation: Operation, verbs: Verbs, lost: Operation) -> Answer:
        await verbs.delete(operation.id, Wish())
        if operation.failed and operation.answer:
            return operation.answer
        raise await self._refused(operation, _lost(lost))

    async def _refused(self, operation: Operation, problem: ScimError) -> ScimError:
        """The problem, noted: a record of what it names, else a request nobody can read."""
        if operation.verbs is None:
            self.host.note("unreadable")
        else:
            id = None if operation.creates else operation.id[:LONGEST_ID]
            attempt = Attempt(ATTEMPTS[operation.method], id, operation.data)
            await operation.verbs.resources.refused(attempt, problem)
        return problem


async def _all(doings: Iterable[Awaitable[None]]) -> None:
    await asyncio.gather(*doings)


async def _tried(operation: Operation, doing: Awaitable[Answer]) -> None:
    """Wait for the answer; a fault of ours is told to the loop, and fails this operation alone."""
    try:
        operation.answer = await doing
    except ScimError as problem:
        operation.answer = refusal(problem)
    except Exception as fault:
        told = {"message": "an operation of a bulk failed", "exception": fault}
        asyncio.get_running_loop().call_exception_handler(told)
        operation.answer = refusal(ScimError())


async def _filled(operation: Operation, verbs: Verbs) -> Answer:
    """The answer to a creation whose members have come to be since."""
    filled = operation.answer or Answer(201)
    if verbs.type.apart:
        filled = await verbs.replace(operation.id, operation.data, Wish())
    return Answer(201, None, filled.headers)


def _lost(maker: Operation) -> ScimError:
    return Conflict(f'What "bulkId:{maker.bulk_id}" names could not be created.')


def _result(operation: Operation, base_url: str) -> dict[str, Any]:
    """One of the answer's Operations; only a POST that failed has no location."""
    answer = operation.answer or Answer(500)
    result: dict[str, Any] = {"method": operation.method, "bulkId": operation.bulk_id}
    if version := dict(answer.headers).get(b"etag"):
        result["version"] = version.decode()
    if (
        operation.problem is None
        and operation.verbs
        and not (operation.failed and operation.creates)
    ):
        result["location"] = operation.verbs.location(operation.id)
    elif operation.method != "POST":
        result["location"] = f"{base_url}/{operation.path.lstrip('/')}"
    result["status"] = str(answer.status)
    if operation.failed and isinstance(answer.body, bytes):
        result["response"] = orjson.Fragment(answer.body)
    return {name: item for name, item in result.items() if item}
