"""A process of its own that refreshes token sets: `python -m tests.races.refreshing JOB`.

JOB is JSON: `url` of the database, `simulator`, `project`, `connector`, `users`, `askers`, and
`die_at`, the point where it says "here" and stands still until it is killed. Without one it says
"ready", waits for a line, lets each asker go through all users, and says how they stood as JSON.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson

from broker.db.seal import Hasher, Seal
from broker.domain.steps import Token
from broker.service.programs import Programs
from broker.service.vault import Vault
from broker.store import tokens
from providers.capabilities import TokenResponse
from providers.egress import Egress
from providers.registry import Registry
from providers.salesforce import Salesforce
from tests import engines
from tests.broker.service.outside import HASH_KEY, KEYS, PUBLIC_URL

POINTS = (
    "before the lease",
    "in the lease",
    "before the lease commits",
    "before the call",
    "after the answer",
    "in the save",
    "before the save commits",
    "after the commit",
)
SLOW = "holding the answer"
"""It says "here" with the answer in its hands, and goes on when it is told to."""


def say(line: str) -> None:
    """Tell whoever watches."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def stand() -> None:
    """The point is reached; whoever watches kills this process now."""
    say("here")
    time.sleep(600)


def wait() -> None:
    """The point is reached; go on once whoever watches says so."""
    say("here")
    sys.stdin.readline()


def die_after(owner: Any, name: str) -> None:
    """Stand still once that function has done its work, before anything is committed."""
    real: Callable[..., Any] = getattr(owner, name)

    def replaced(*args: Any, **more: Any) -> Any:
        real(*args, **more)
        stand()

    setattr(owner, name, replaced)


def die_around_the_call(*, answered: bool, still: Callable[[], object] = stand) -> None:
    """Stand still before the provider is called, or once it has answered."""
    real = Salesforce.refresh

    async def refresh(self: Salesforce, *args: Any, **more: Any) -> TokenResponse:
        if not answered:
            still()
        answer = await real(self, *args, **more)
        await asyncio.to_thread(still)
        return answer

    setattr(Salesforce, "refresh", refresh)  # noqa: B010 - mypy lets no method be assigned


PREPARED: dict[str, Callable[[], None]] = {
    "in the lease": partial(die_after, tokens, "lease"),
    "before the lease commits": partial(die_after, Vault, "leased"),
    "in the save": partial(die_after, tokens, "save"),
    "before the save commits": partial(die_after, Vault, "answered"),
    SLOW: partial(die_around_the_call, answered=True, still=wait),
    "before the call": partial(die_around_the_call, answered=False),
    "after the answer": partial(die_around_the_call, answered=True),
}


async def ask(vault: Vault, job: dict[str, Any]) -> list[str]:
    """How each user stands, asked again while it is only a matter of time, as callers do."""
    stood = []
    for user in job["users"]:
        key = (job["project"], job["connector"], user)
        while (standing := await vault.refreshed(*key)).token is Token.TRANSIENT:
            await asyncio.sleep(0.5)
        stood.append(standing.token.value)
    return stood


async def main(job: dict[str, Any]) -> None:
    """Open the database as a replica does, and ask."""
    db = await engines.connect(job["url"])
    egress = Egress(origins=[job["simulator"]])
    programs = Programs(Registry(egress, simulator=job["simulator"]), Seal(KEYS), PUBLIC_URL)
    vault = Vault(db, Hasher(HASH_KEY), programs)
    point: str | None = job.get("die_at")
    if point == "before the lease":
        stand()
    if prepare := PREPARED.get(point or ""):
        prepare()
    if point is None:
        say("ready")
        await asyncio.to_thread(sys.stdin.readline)
    stood = await asyncio.gather(*(ask(vault, job) for _ in range(job["askers"])))
    if point == "after the commit":
        stand()
    say(orjson.dumps([one for asker in stood for one in asker]).decode())
    await egress.aclose()
    await db.close()


if __name__ == "__main__":
    asyncio.run(main(orjson.loads(sys.argv[1])))
