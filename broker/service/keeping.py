"""A pull in the database: units that do something and keep the place it leads to."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import blake2b

import orjson

from broker.db.database import Transaction
from broker.domain.clock import DAY, SECOND, rfc3339
from broker.domain.directories import Directory
from broker.domain.errors import BrokerError
from broker.domain.pulls import Place
from broker.domain.runs import Ending, Kind, Result, Run, Trigger
from broker.service import proposing
from broker.service.going import going_on
from broker.service.hosting import Hosting
from broker.service.occupied import occupied
from broker.service.syncing import ending
from broker.service.taking import KINDS, Taking
from broker.store import held, jobs, pages, runs, seen, sourced
from broker.store.jobs import Job
from broker.store.pages import Where
from broker.store.resources import Shelf
from providers.sources.reading import CanReadDirectory

JOB = "pull"
FORGOTTEN_AT_ONCE = 2_000
INTERRUPTED = "It was interrupted again and again at the same place."
Doing = Callable[[Transaction, Taking], int | None]
"""A piece of a pull; how many records it found as they were."""


@dataclass(frozen=True, slots=True)
class Going:
    """A pull that goes on: what it reads, and where it stands."""

    run: str
    directory: Directory
    source: CanReadDirectory
    place: Place


@dataclass(frozen=True, slots=True)
class Keeping:
    """Units of work of a pull. Each extends the job's lease first: whoever lost it writes nothing.

    `whole_every` is how long a reading of what changed is good (microseconds).
    """

    hosting: Hosting
    whole_every: int = 7 * DAY

    def begin(self, tx: Transaction, directory: Directory, trigger: Trigger, by: str) -> str:
        """Open the run of a directory at its place, with its job; Conflict `run-running`."""
        project, id, mapping = directory.project, directory.id, directory.mapping_version
        run = runs.open(tx, project, id, trigger, Kind.PULL, by=by, mapping_version=mapping)
        if run is None:
            raise occupied(tx, directory)
        place = self._beginning(tx, directory)
        known = [pages.count(tx, Shelf(project, id, kind), Where()) for kind in KINDS]
        runs.go_on(
            tx, project, run, str(place), expected=sum(known) or None if place.anew else None
        )
        jobs.add(tx, JOB, project, once=f"{JOB}:{run}", run=run, directory=id)
        return run

    def keep(
        self,
        tx: Transaction,
        job: Job,
        going: Going,
        place: Place,
        do: Doing,
        expected: int | None = None,
    ) -> Going | None:
        """Do something and keep the place it leads to; None where the run goes on no more."""
        found = going_on(tx, job, job.data["run"])
        if found is None:
            return None
        run, directory = found
        on = replace(going, directory=directory)
        unchanged = do(tx, self.taking(on)) or 0
        runs.go_on(tx, run.project, run.id, str(place), unchanged=unchanged, expected=expected)
        return replace(on, place=place)

    def wait(self, tx: Transaction, job: Job, place: Place, wait: int) -> Place | None:
        """Keep what keeps the source from being read, and tell it with when it is asked again: in
        `wait` microseconds. None where the run goes on no more.
        """
        found = going_on(tx, job, job.data["run"])
        if found is None:
            return None
        again = rfc3339((tx.now + wait) // SECOND * SECOND)
        told = f"The source cannot be read: {place.why}. It is asked again at {again}."
        runs.go_on(tx, found[0].project, found[0].id, str(place), message=told)
        return place

    def resume(self, tx: Transaction, job: Job, tries: int) -> tuple[Directory, Place] | None:
        """Where the run stands, begun there once more; None where it goes on no more, or ends here
        because that was tried more often than `tries`, or because its mapping cannot be used (R4).
        """
        found = going_on(tx, job, job.data["run"])
        if found is None:
            return None
        run, directory = found
        place = Place.of(run.place or "{}")
        if place.tries > tries:
            ending(tx, run, Ending.INTERRUPTED, message=place.why or INTERRUPTED)
            return None
        try:
            self.hosting.mappings.of(tx, directory)
        except BrokerError as wrong:
            ending(tx, run, Ending.MAPPING_UNLOADABLE, message=str(wrong))
            return None
        place = replace(place, tries=place.tries + 1)
        runs.go_on(tx, run.project, run.id, str(place), message=run.message)
        return directory, place

    def _beginning(self, tx: Transaction, directory: Directory) -> Place:
        """At what changed since the last pull, where its source and its mapping are the same."""
        known = sourced.delta(tx, directory.project, directory.id)
        fresh = tx.now - known.get("whole_at", 0) < self.whole_every
        if fresh and known.get("of") == _print(directory):
            return Place(at=known["place"], anew=False, whole_at=known["whole_at"])
        return Place(whole_at=tx.now)

    def begin_anew(self, tx: Transaction, job: Job, going: Going) -> Going | None:
        """Read everything, in the same run: the source no longer knows the place."""
        place = Place(begun=going.place.begun + 1, whole_at=tx.now, tries=going.place.tries)
        seen.anew(tx, going.directory.project, going.run, "Group")
        return self.keep(tx, job, going, place, nothing)

    def decide(
        self, tx: Transaction, job: Job, going: Going, limit: int, wrong: Exception | None
    ) -> Going | None:
        """Carry out some of what needs no decision; once that is done, end the run, or hold it
        (R5). `wrong`: the next record cannot be carried out, and says why.
        """
        found = going_on(tx, job, job.data["run"])
        if found is None:
            return None
        run, directory = found
        for kind in KINDS:
            people = pages.count(tx, Shelf(run.project, directory.id, kind), Where())
            if held.of_kind(tx, run.project, run.id, kind) > directory.holding.most(people):
                continue
            for n, record in held.proposed(tx, run.project, run.id, kind, limit):
                result = (
                    Result.FAILED
                    if wrong
                    else proposing.carry_out(tx, self.hosting, directory, record)
                )
                held.settle(tx, run.project, n, result, str(wrong) if wrong else None)
                limit -= 1
            if limit <= 0:
                return going
        self._finish(tx, run, directory, going.place)
        return None

    def forget(self, tx: Transaction, job: Job) -> bool:
        """Forget some of what an ended run has seen; False where nothing is left of it."""
        project, run = job.project or "", job.data["run"]
        is_over = runs.going(tx, project, run) is None
        return is_over and seen.forget(tx, project, run, FORGOTTEN_AT_ONCE)

    def taking(self, going: Going) -> Taking:
        """What takes the records of this reading."""
        anew, translated = going.place.anew, going.source.translated
        return Taking(self.hosting, going.directory, going.run, translated, anew)

    def _finish(self, tx: Transaction, run: Run, directory: Directory, place: Place) -> None:
        """The reading came to its end: the next begins where this one did, and nothing troubles."""
        sourced.trouble(tx, run.project, directory.id, None)
        if place.delta is not None:
            known = {"place": place.delta, "of": _print(directory), "whole_at": place.whole_at}
            sourced.keep_delta(tx, run.project, directory.id, known)
        ending(tx, run, message=" ".join(place.unsure.values()) or None)

    def end(self, tx: Transaction, job: Job, reason: Ending, message: str) -> None:
        """End the run for what its source said; refused credentials are trouble for all to see."""
        found = going_on(tx, job, job.data["run"])
        if found is not None:
            run, directory = found
            if reason is Ending.CREDENTIALS_REFUSED:
                sourced.trouble(tx, run.project, directory.id, message)
            ending(tx, run, reason, message=message)


def nothing(_tx: Transaction, _taking: Taking) -> None:
    """For a step that only leads on."""


def _print(directory: Directory) -> str:
    """What a place of a source is good for: this source, under this mapping."""
    source = directory.source
    said = [source and source.kind, source and source.settings, directory.mapping_version]
    return blake2b(orjson.dumps(said, option=orjson.OPT_SORT_KEYS), digest_size=12).hexdigest()
