"""Whether a run that a job works on may go on."""

from broker.db.database import Transaction
from broker.domain.directories import Directory
from broker.domain.runs import Ending, Run
from broker.service.syncing import ending
from broker.store import directories, jobs, runs
from broker.store.jobs import Job


def going_on(tx: Transaction, job: Job, id: str) -> tuple[Run, Directory] | None:
    """The run that goes on and its directory, the job's lease extended; None where it is over,
    ends here because somebody said so (R8, R9), or is another process's by now.
    """
    project = job.project or ""
    run = runs.going(tx, project, id) if jobs.extend(tx, job) else None
    if run is None:
        return None
    directory = directories.find(tx, project, run.directory)
    if directory is not None and directory.is_enabled and not run.stopping:
        return run, directory
    disabled = Ending.DELETED if directory is None else Ending.DISABLED
    ending(tx, run, Ending.STOPPED if run.stopping else disabled)
    return None
