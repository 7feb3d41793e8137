"""The broker as a service calls it."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote

import httpx

from broker.client import acting, answers
from broker.client.acting import Pending, Performed
from broker.client.answers import Answer, BatchAnswer, Explained, Link, PauseState
from broker.client.calling import Calls, read
from broker.client.happenings import Event
from broker.client.pauses import Claim, Pause
from broker.client.problems import Wrong
from broker.client.questions import Step

T = TypeVar("T")
PAGE = 200


class Broker:
    """One broker, asked with one key; to be used as `async with`, by any number of tasks at once.

    Each call ends within `deadline_s`, its tries together, beside the time it was told to wait.
    Every call may end with Later (nobody runs meanwhile), Wrong or Unreadable.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        deadline_s: float = 30.0,
        try_s: float = 10.0,
        hold_s: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`try_s` is how long one try may take, `hold_s` how long one question waits for news (a
        minute at most); `transport` another way to the broker.
        """
        headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
        http = httpx.AsyncClient(
            base_url=url,
            headers=headers,
            transport=transport,
            timeout=httpx.Timeout(None, connect=min(try_s, 5.0)),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
        )
        self._calls = Calls(http, deadline_s, try_s, hold_s)

    async def __aenter__(self) -> Self:
        await self._calls.http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._calls.http.__aexit__(kind, error, trace)

    async def resolve(self, step: Step) -> Answer:
        """Who the step runs as, now, and with what credential.

        Where nobody's token can be had just now (F7, F18b), it is asked again until the deadline,
        then Later.
        """
        return await self._post("/v1/resolve", step.rendered(), answers.read)

    async def batch(
        self,
        steps: Sequence[Step],
        *,
        stop: Literal["never", "on_pause", "on_error"] = "never",
    ) -> BatchAnswer:
        """Up to 100 steps, seen at one moment, in their order; those behind the stop are none."""
        said = {"items": [step.rendered() for step in steps], "stop": stop}
        return await self._post("/v1/resolve/batch", said, answers.read_batch)

    async def explain(self, step: Step, *, assume: Mapping[str, Any] | None = None) -> Explained:
        """Which row would answer, and why (scope `explain`); nothing is kept, nobody is asked.

        `assume` puts something else in the place of a fact: `{"policy": "pause"}`.
        """
        said = step.rendered() | ({"assume": dict(assume)} if assume else {})
        return await self._post("/v1/resolve/explain", said, Explained.read)

    async def rejected(self, decision_id: str, version: int | None = None) -> str:
        """Report that the program answered 401 to the credential of this decision.

        `version` is that of the answer which held it. Answers what came of it: `expired`, `kept`,
        `needs-reauth` or `ignored`; ask resolve again in any case.
        """
        said = {} if version is None else {"version": version}
        path = f"/v1/decisions/{_named(decision_id)}/rejected"
        return await self._post(path, said, lambda answer: str(answer["result"]))

    async def pauses(
        self,
        *states: PauseState,
        user_id: str | None = None,
        connector: str | None = None,
    ) -> AsyncIterator[Pause]:
        """The project's pauses in the order they were opened; in these states, all where none."""
        params: dict[str, Any] = {"limit": PAGE, "state": [one.value for one in states]}
        params |= {"user_id": user_id} if user_id else {}
        params |= {"connector": connector} if connector else {}
        while True:
            found, cursor = await self._get("/v1/pauses", _pauses, params=params)
            for pause in found:
                yield pause
            if cursor is None:
                return
            params["cursor"] = cursor

    async def pause(self, id: str) -> Pause:
        """A pause as it stands."""
        return await self._get(f"/v1/pauses/{_named(id)}", Pause.read)

    async def wait(self, pause: Pause, timeout_s: float = math.inf) -> Pause:
        """The pause once it does not wait any more; as it stands after `timeout_s`."""
        path, ends = f"/v1/pauses/{_named(pause.id)}", time.monotonic() + timeout_s
        while pause.state is PauseState.WAITING and (left := ends - time.monotonic()) > 0:
            known = {"If-None-Match": f'"{pause.version}"'}
            answer = await self._calls.held(path, left, _is_new, headers=known)
            pause = pause if answer is None else read(answer, Pause.read)
        return pause

    async def claim(self, id: str) -> Claim:
        """Take a ready pause: of many who try, one gets it, and runs the step.

        Wrong where it is not ready or another was first. A claim whose answer is lost on the way
        ends with Later at once, unrepeated (its token left once), and counts as silent: after five
        minutes the pause is ready again.
        """
        path = f"/v1/pauses/{_named(id)}/claim"
        answer = await self._calls.call("POST", path, repeats=False)
        return read(answer, lambda said: Claim.read(id, said))

    async def result(self, claim: Claim, result: Literal["ran", "failed"]) -> None:
        """Say how the step went; Wrong (`claim-outdated`) where the claim is another's by now."""
        path = f"/v1/pauses/{_named(claim.pause)}"
        try:
            said = {"claim": claim.token, "result": result}
            await self._calls.call("POST", f"{path}/result", said)
        except Wrong as error:
            # An earlier try arrived and its answer did not: then the pause went on as we said.
            if not error.was_repeated or error.code != "claim-outdated":
                raise
            now = (await self.pause(claim.pause)).state
            if (now is PauseState.RESUMED) is not (result == "ran"):
                raise

    async def end(self, id: str) -> Pause:
        """Wait no longer for the person: the flow ends with an error (P11)."""
        return await self._post(f"/v1/pauses/{_named(id)}/end", None, Pause.read)

    async def cancel(self, id: str) -> Pause:
        """The flow was cancelled: nothing waits any more (P10)."""
        return await self._post(f"/v1/pauses/{_named(id)}/cancel", None, Pause.read)

    async def authenticate(
        self,
        *,
        expected: Mapping[str, str] | None = None,
        suffixes: Iterable[str] = (),
        id_token: str | None = None,
        return_url: str | None = None,
        can_wait: bool = True,
    ) -> Performed | Pending:
        """Make sure that somebody is who they should be (AuthenticateUser).

        `expected` are logons by suffix, "" expects nobody in particular; `suffixes` are the
        applications whose logons are wanted. Without `id_token` the person signs in behind the link
        of Pending, unless `can_wait` is False: then it fails.
        """
        said: dict[str, Any] = {
            "items": {acting.EXPECTED + suffix: one for suffix, one in (expected or {}).items()},
            "suffixes": list(suffixes),
            "mode": "async" if can_wait else "sync",
        }
        said |= {"return_url": return_url} if return_url else {}
        said |= {"evidence": {"type": "id_token", "value": id_token}} if id_token else {}
        path, once = "/v1/actions/AuthenticateUser", id_token is not None
        try:
            return read(await self._calls.call("POST", path, said, once=once), acting.read)
        except Wrong as error:
            # The first try arrived and its answer did not: evidence counts once, so it is read.
            if error.code != "told-once":
                raise
            return await self.action(error.problem.said["actionCoupon"])

    async def action(
        self, coupon: int, *, code: str | None = None, timeout_s: float = 0
    ) -> Performed | Pending:
        """Where an action stands, for the key that asked; the verdict as soon as there is one,
        within `timeout_s`. `code` is what the person's browser brought to the return URL.

        After 15 minutes the coupon is 404 `not-found` (Wrong): a no.
        """
        path, params = f"/v1/actions/{coupon}", {"code": code} if code else {}
        answer = await self._calls.call("GET", path, params=params)
        ends = time.monotonic() + timeout_s
        while True:
            found, left = read(answer, acting.read), ends - time.monotonic()
            if isinstance(found, Performed) or left <= 0:
                return found
            known = {"If-None-Match": answer.headers.get("etag", "")}
            held = await self._calls.held(path, left, _is_new, headers=known)  # a code is spent
            answer = held or answer

    async def events(self, *types: str, after: int = 0) -> AsyncIterator[Event]:
        """What happens, in order and without a gap, for ever; of these types (`pause.*`) or all.

        Keep the `sequence` of the last one that was dealt with: `after` begins behind it. No event
        is older than 30 days.
        """

        def is_news(answer: httpx.Response) -> bool:
            return read(answer, _events)[1] > after

        while True:
            params: dict[str, Any] = {"after": after, "limit": PAGE, "types": list(types)}
            answer = await self._calls.held("/v1/events", math.inf, is_news, params=params)
            if answer is not None:
                found, after = read(answer, _events)
                for event in found:
                    yield event

    async def link(
        self,
        user_id: str,
        connector: str,
        *,
        return_url: str | None = None,
        scopes: Iterable[str] = (),
    ) -> Link:
        """A link under which this person connects their account (scope `links:write`)."""
        said: dict[str, Any] = {
            "user_id": user_id,
            "connector": connector,
            "purpose": "connect",
            "scopes": list(scopes),
        }
        said |= {"return_url": return_url} if return_url else {}
        return await self._post("/v1/links", said, Link.read)

    async def connect_session(self, user_id: str, link: str) -> str:
        """The address, good once and for five minutes, under which this person's browser is known
        for this link (scope `sessions:write`). Give it to nobody else.
        """
        said = {"user_id": user_id, "link": link}
        return await self._post("/v1/connect-sessions", said, lambda answer: str(answer["url"]))

    async def _get(
        self, path: str, shape: Callable[[Any], T], *, params: Mapping[str, Any] | None = None
    ) -> T:
        return read(await self._calls.call("GET", path, params=params), shape)

    async def _post(
        self, path: str, said: Mapping[str, Any] | None, shape: Callable[[Any], T]
    ) -> T:
        return read(await self._calls.call("POST", path, said), shape)


def _is_new(answer: httpx.Response) -> bool:
    return answer.status_code != 304


def _pauses(said: Any) -> tuple[list[Pause], str | None]:
    return [Pause.read(each) for each in said["items"]], said["next_cursor"]


def _events(said: Any) -> tuple[list[Event], int]:
    return [Event.read(each) for each in said["items"]], said["last"]


def _named(id: str) -> str:
    return quote(id, safe="")
