"""`broker seal`: which encryption keys are in use, and everything under the newest one."""

import click

from broker.commands.operating import BY, Said, operators
from broker.service.sealing import Sealing, Standing
from broker.store.projects import Project
from broker.wiring import Broker

seal = click.Group()


@seal.command("status")
@operators
async def status(broker: Broker, _: Project) -> Said:
    """Count what each key has sealed, over all projects."""
    standing = await _sealing(broker).status()
    return Said(_json(standing), _words(standing))


@seal.command("rotate")
@operators
async def rotate(broker: Broker, _: Project) -> Said:
    """Seal everything, of all projects, with the first of BROKER_ENCRYPTION_KEYS.

    Services go on meanwhile; a rotation that was ended goes on with the next one.
    """
    done, standing = await _sealing(broker).rotate(by=BY)
    words = f"{done} rows are sealed with {standing.sealing} now.\n{_words(standing)}"
    return Said({"resealed": done, **_json(standing)}, words)


def _sealing(broker: Broker) -> Sealing:
    return Sealing(broker.db, broker.vault.programs.seal)


def _json(standing: Standing) -> dict[str, object]:
    return {
        "sealing": standing.sealing,
        "left": standing.left,
        "keys": [
            {"id": key, "known": key in standing.known, "rows": rows}
            for key, rows in standing.keys.items()
        ],
        "columns": [
            {"column": column, "key": key, "rows": rows}
            for (column, key), rows in sorted(standing.rows.items())
        ],
    }


def _words(standing: Standing) -> str:
    """The counts, and which key may go or has to come back."""
    lines = [f"{rows:>9}  {key}  {name}" for (name, key), rows in sorted(standing.rows.items())]
    for key, rows in standing.keys.items():
        if key == standing.sealing:
            continue
        if key not in standing.known:
            lines.append(f"{key} is missing: {rows} rows wait for it in BROKER_ENCRYPTION_KEYS.")
        elif rows:
            lines.append(f"{rows} rows need {key} still; run: broker seal rotate")
        else:
            lines.append(f"Nothing needs {key} any more: BROKER_ENCRYPTION_KEYS may drop it.")
    return "\n".join(lines)
