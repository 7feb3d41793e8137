"""A process of its own that rotates and dies: `python -m tests.races.rotating URL KEYS AFTER`.

Once it has sealed AFTER values with the first of KEYS it kills itself, as a power cut would.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from broker.db.seal import Seal, keys_from
from broker.service.sealing import Sealing
from tests import engines


class Dying(Seal):
    """A seal whose process does not live to write the last value."""

    left = 0

    def seal(self, plain: bytes, project: str, table: str, row: str, column: str) -> bytes:
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
        return super().seal(plain, project, table, row, column)


async def main(url: str, keys: str, after: str) -> None:
    """Rotate until that many values are sealed anew."""
    seal = Dying(keys_from(keys))
    seal.left = int(after)
    await Sealing(await engines.connect(url), seal).rotate(by="operator")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
