"""A process of its own in which things happen: `python -m tests.races.eventful URL PROJECT COUNT
AFTER`.

COUNT events are written side by side, so that they are committed in another order than they were
numbered by the engine, and are published meanwhile. Once it has published AFTER of them it kills
itself between the numbers and their commit, as a power cut would; 0 lets it live.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time

from broker.db.database import Transaction
from broker.service.holding import Holding
from broker.service.publishing import Publishing
from broker.store import events
from broker.store.events import Published
from tests import engines

SIDE_BY_SIDE = 6


def slowly(tx: Transaction, project: str) -> None:
    """Something happens, and its unit has more to do."""
    events.append(tx, project, "user.invited", user_id="usr_1")
    time.sleep(random.random() * 0.005)


def mortal(after: int) -> None:
    """Let the process die in the unit that publishes."""
    publish, published = events.publish, [0]

    def dying(tx: Transaction, project: str, limit: int = 500) -> list[Published]:
        found = publish(tx, project, limit)
        published[0] += len(found)
        if published[0] > after:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    events.publish = dying


async def main(url: str, project: str, count: str, after: str) -> None:
    """Write and publish until all is written."""
    if int(after):
        mortal(int(after))
    db = await engines.connect(url)
    publishing = Publishing(db, Holding(db))
    left = iter(range(int(count)))

    async def writing() -> None:
        for _ in left:
            await db.write(slowly, project)

    writers = [asyncio.create_task(writing()) for _ in range(SIDE_BY_SIDE)]
    while not all(writer.done() for writer in writers):
        await publishing.publish()
        await asyncio.sleep(0)
    await asyncio.gather(*writers)
    await db.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
