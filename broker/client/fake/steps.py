"""Questions and pauses of a FakeBroker: one decision an attempt, one open pause a step."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from broker.client.fake.scene import Person, Refusal, Scene, moment
from broker.client.fake.table import ROWS, WITHOUT_PERSON, answered, message

OPEN = ("waiting", "ready", "claimed")
CYCLES = 5
BADNESS = ("not_evaluated", "run", "ask", "pause", "wait", "error", "problem")


@dataclass(slots=True)
class Steps:
    """Resolve, batch, explain, and the rows P."""

    scene: Scene
    decisions: dict[tuple[str, str, int], dict[str, Any]] = field(default_factory=dict)
    pauses: dict[str, dict[str, Any]] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)

    def resolve(self, question: dict[str, Any]) -> dict[str, Any]:
        """The answer to a question; Refusal 503 where it is to be asked again."""
        row, person = self.row(question), self.scene.named(question["subject"])
        decision = self._decision(question)
        met = self._open(question)
        if met and met["state"] == "claimed":
            row = "P4"
        elif met and ROWS[row].outcome not in ("pause", "wait", "ask"):
            self.move(met, "cancelled", "answered-otherwise")
        answer = self._answer(row, question, decision, person)
        if ROWS[row].outcome == "pause" and person:
            answer["pause"] = parked(met or self._pause(question, decision, person))
        return answer

    def batch(self, said: dict[str, Any]) -> dict[str, Any]:
        """Each item's answer; none behind the stop."""
        items: list[dict[str, Any]] = []
        attempts: dict[tuple[str, str], int] = {}
        stops = {"on_pause": ("pause",), "on_error": ("error", "problem")}.get(said["stop"], ())
        for item in said["items"]:
            if any(one.get("outcome", "problem") in stops for one in items):
                items.append({"outcome": "not_evaluated"})
                continue
            try:
                execution, step, attempt = _place(item)
                if attempts.setdefault((execution, step), attempt) != attempt:
                    raise Refusal(422, "duplicate-step")
                items.append(self.resolve(item))
            except Refusal as refusal:
                waits = refusal.status == 503
                wait = {"outcome": "wait", "retry_after_s": 1, **refusal.said}
                items.append(wait if waits else {"problem": refusal.said})
        bad = [BADNESS.index(one.get("outcome", "problem")) for one in items]
        return {"items": items, "worst": bad.index(max(bad))}

    def explain(self, question: dict[str, Any]) -> dict[str, Any]:
        """The row that would answer; nothing is kept."""
        row, person = self.row(question), self.scene.named(question["subject"])
        of = ROWS[row]
        shown = {"row": row, "outcome": of.outcome, "status": of.status}
        return {
            **shown,
            "identity": of.identity,
            "reason": of.reason,
            "fallback": of.fallback,
            "message": message(row),
            "user_id": person and person.id,
            "connector": question["connector"],
            "assumed": {},
            "trace": [{"row": row, "facts": {}, "wants": {}, "fits": True}],
            "now": shown,
            "pause": None,
            "refresh_due": False,
        }

    def row(self, question: dict[str, Any]) -> str:
        """The row for a question: the newest rule that fits, seen by who is signed in."""
        person, subject = self.scene.named(question["subject"]), question["subject"]
        connector, step, execution = question["connector"], question["step"], question["execution"]
        named = connector and step["id"] and step["type"] and execution["id"]
        if not named or execution["attempt"] < 1:
            raise Refusal(422, "invalid-request")
        if subject is not None and person is None:
            return "F19"
        if person is not None and not person.active:
            return "F2"
        fits = (
            rule for rule in reversed(self.scene.rules) if rule.fits(connector, step["id"], person)
        )
        rule = next(fits, None)
        row = rule.row if rule else "F12"
        if row not in WITHOUT_PERSON:
            return row
        row = "F8" if question["interactive"] else row
        if person is None:
            return WITHOUT_PERSON[row]
        return "F6" if (person.id, connector) in self.scene.signed_in else row

    def claim(self, id: str) -> dict[str, Any]:
        """P4 to P6: the table is asked again."""
        pause = self.get(id)
        if pause["state"] != "ready":
            raise Refusal(409, f"pause-{pause['state']}")
        decision = next(one for one in self.decisions.values() if one["id"] == pause["decision_id"])
        question = decision["question"]
        row = "P12" if pause["run_as"] == "connector" else self.row(question)
        decision["version"] += 1
        answer = self._answer(row, question, decision, self.scene.named(question["subject"]))
        if ROWS[row].outcome != "run":
            self.sent_back(pause, answer["reason"] or answer["status"])
            return {"claim": None, "decision": answer | {"pause": parked(pause)}}
        self.claims[id] = secrets.token_urlsafe(16)
        self.move(pause, "claimed")
        return {"claim": self.claims[id], "decision": answer | {"pause": parked(pause)}}

    def result(self, id: str, said: dict[str, Any]) -> None:
        """P5 or P6, by whoever has the newest claim."""
        pause = self.get(id)
        if self.claims.get(id) != said["claim"]:
            raise Refusal(409, "claim-outdated")
        if said["result"] == "ran":
            self.move(pause, "resumed")
        else:
            self.sent_back(pause, "step-failed")

    def over(self, id: str, state: str, reason: str, *before: str) -> dict[str, Any]:
        """End a pause from one of the states `before`."""
        pause = self.get(id)
        if pause["state"] not in before:
            raise Refusal(409, f"pause-{pause['state']}")
        self.move(pause, state, reason)
        return pause

    def get(self, id: str) -> dict[str, Any]:
        """A pause; Refusal where there is none."""
        if id not in self.pauses:
            raise Refusal(404, "not-found")
        return self.pauses[id]

    def sent_back(self, pause: dict[str, Any], reason: str) -> None:
        """P6: waiting again; the fifth time it has failed."""
        pause |= {"cycles": pause["cycles"] + 1, "run_as": "user"}
        failed = pause["cycles"] >= CYCLES
        self.move(pause, "failed" if failed else "waiting", "too-many-cycles" if failed else reason)

    def move(self, pause: dict[str, Any], state: str, reason: str | None = None) -> None:
        """Let a pause be in another state, and tell."""
        pause |= {"state": state, "reason": reason, "version": pause["version"] + 1}
        pause["status"] = "Authentication needed" if state == "waiting" else state
        if state != "claimed":
            self.claims.pop(pause["id"], None)
        self._tell(pause)

    def _decision(self, question: dict[str, Any]) -> dict[str, Any]:
        """The decision of this attempt; Refusal where it was asked something else."""
        place = _place(question)
        asked = {name: value for name, value in question.items() if name != "credential"}
        if (known := self.decisions.get(place)) is None:
            known = {"id": self.scene.new("dec"), "version": 0, "asked": asked}
            self.decisions[place] = known
        elif known["asked"] != asked:
            raise Refusal(422, "decision-conflict")
        known |= {"version": known["version"] + 1, "question": question}
        return known

    def _answer(
        self,
        row: str,
        question: dict[str, Any],
        decision: dict[str, Any],
        person: Person | None,
    ) -> dict[str, Any]:
        of, answer = ROWS[row], answered(row, question, decision)
        if of.outcome == "wait":
            raise Refusal(503, of.status, row=row, retryable=True, decision_id=decision["id"])
        if person is not None and row != "F3":
            answer["act"]["on_behalf_of"] = person.id
        if of.outcome == "ask":
            answer["link"] = link(self.scene)
        if of.identity is not None:
            who = person if of.identity == "user" else None
            answer["run_as"] = run_as(of.identity, who)
            if question["credential"]:
                answer["credential"] = {
                    "access_token": f"fake-{secrets.token_urlsafe(16)}",
                    "token_type": "Bearer",
                    "expires_at": moment(3600),
                    "base_url": "https://program.example",
                }
        return answer

    def _open(self, question: dict[str, Any]) -> dict[str, Any] | None:
        place = (question["execution"]["id"], question["step"]["id"])
        found = (one for one in self.pauses.values() if one["state"] in OPEN)
        return next((one for one in found if (one["execution"], one["step"]) == place), None)

    def _pause(
        self, question: dict[str, Any], decision: dict[str, Any], person: Person
    ) -> dict[str, Any]:
        pause = {
            "id": self.scene.new("pse"),
            "state": "waiting",
            "status": "Authentication needed",
            "reason": None,
            "execution": question["execution"]["id"],
            "step": question["step"]["id"],
            "user_id": person.id,
            "connector": question["connector"],
            "decision_id": decision["id"],
            "run_as": "user",
            "cycles": 0,
            "since": moment(),
            "expires_at": None,
            "version": 1,
        }
        self.pauses[pause["id"]] = pause
        self._tell(pause)
        return pause

    def _tell(self, pause: dict[str, Any]) -> None:
        names = ("connector", "user_id", "execution", "step", "reason", "version")
        told = {name: pause[name] for name in names}
        data = {"pause": pause["id"], **told, "claim_after_s": 0}
        self.scene.happens(f"pause.{pause['state']}", data)


def _place(question: dict[str, Any]) -> tuple[str, str, int]:
    execution = question["execution"]
    return execution["id"], question["step"]["id"], execution["attempt"]


def parked(pause: dict[str, Any]) -> dict[str, Any]:
    """What an answer says of its pause."""
    return {name: pause[name] for name in ("id", "state", "since")}


def link(scene: Scene) -> dict[str, str]:
    """A link that leads nowhere."""
    id = scene.new("lnk")
    return {"id": id, "url": f"https://broker.example/connect/{id}", "expires_at": moment(1800)}


def run_as(kind: str, person: Person | None) -> dict[str, Any]:
    """Whom a step runs as: the person, or the connector user."""
    if person is None:
        return {"kind": kind, "provider_account": "automation@program.example"}
    return {
        "kind": kind,
        "user_id": person.id,
        "user_name": person.user_name,
        "display_name": person.display_name,
        "provider_account": person.user_name,
    }
