"""The pretend programs alone: `python -m broker.demo`, until Ctrl-C."""

import argparse
import asyncio
import contextlib
import sys

from broker.demo import simulator


def main() -> None:
    """Pretend programs for rehearsals; docs/rehearsing.md says what they can do."""
    words = argparse.ArgumentParser("python -m broker.demo", description=main.__doc__)
    words.add_argument("--port", type=int, default=9300, help="where they listen, on loopback")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(words.parse_args().port))


async def _serve(port: int) -> None:
    async with simulator.serving(port=port) as pretend:
        sys.stdout.write(f"BROKER_SIMULATOR_URL={pretend.base_url}\n")
        sys.stdout.write(f"What can be switched: {pretend.base_url}/control\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    main()
