"""The refusal to begin what would be a second run of a directory (R7)."""

from broker.db.database import Transaction
from broker.domain.directories import Directory
from broker.domain.errors import Conflict
from broker.domain.runs import Run, State
from broker.store import held, runs


class Occupied(Conflict):
    """The directory has a run that is not over; `run` of the problem names it."""

    def __init__(self, run: Run, *, waits: bool = False) -> None:
        """`waits` says that it does for a decision."""
        if waits:
            what, next = "Its last run waits for a decision.", "Release or reject what it holds."
        else:
            what, next = "A run of this directory is going on.", "Follow it, or stop it first."
        reason = "run-held" if waits else "run-running"
        super().__init__(what, reason=reason, next=next)
        self.more = {"run": run.id}


def occupied(tx: Transaction, directory: Directory) -> Conflict:
    """Why no run of this directory could be opened just now."""
    going = runs.current(tx, directory.project, directory.id)
    if going is None:
        return Conflict("A run of this directory has just ended; ask again.", reason="run-running")
    is_held = going.state is State.HELD  # while what was decided is carried out, nothing waits
    waits = is_held and held.undecided(tx, directory.project, going.id) > 0
    return Occupied(going, waits=waits)
