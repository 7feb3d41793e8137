"""A broker in memory for the tests of a service: programmed by a test, asked like the real one.

async with FakeBroker() as broker:
    broker.person("kim.lee@acme.example")
    broker.answers("F11", step="s4")
    await engine.run(broker)                       # the step is parked
    broker.signs_in("kim.lee@acme.example", "salesforce")
    await engine.resume(broker)                    # and runs as Kim
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace

import httpx

from broker.client.broker import Broker
from broker.client.fake.actions import Actions
from broker.client.fake.routes import Routes
from broker.client.fake.scene import Person, Rule, Scene
from broker.client.fake.steps import OPEN, Steps
from broker.client.fake.table import ROWS


class FakeBroker(Broker):
    """Everything a Broker does, without a broker; each fake is a world of its own.

    Unless told otherwise nobody is signed in: a person's step ends with an error (F12), or asks
    where it is interactive (F8).
    """

    def __init__(self, *, deadline_s: float = 5.0) -> None:
        self._scene = Scene()
        self._steps, self._actions = Steps(self._scene), Actions(self._scene)
        self._routes = Routes(self._scene, self._steps, self._actions)
        transport = httpx.MockTransport(self._routes.answer)
        super().__init__(
            "http://fake.example", "brk_fake", deadline_s=deadline_s, transport=transport
        )

    def person(
        self,
        user_name: str,
        *,
        display_name: str = "",
        logons: Mapping[str, str] | None = None,
        name: str = "",
        active: bool = True,
    ) -> str:
        """Let there be this person, as said here; their id. `logons` by suffix, `name` as XPN."""
        known = self._scene.people.get(user_name)
        id = known.id if known else self._scene.new("usr")
        self._scene.people[user_name] = Person(
            id, user_name, display_name or user_name, dict(logons or {}), name, active
        )
        return id

    def answers(
        self,
        row: str,
        *,
        connector: str | None = None,
        step: str | None = None,
        user_name: str | None = None,
    ) -> None:
        """From now on questions like these get this row of the table; KeyError for none of its.

        The newest rule that fits counts. F8 to F12 are for somebody who is not signed in: a sign-in
        makes them F6.
        """
        ROWS[row]
        self._scene.rules.append(Rule(row, connector, step, user_name))

    def signs_in(self, user_name: str, connector: str) -> None:
        """The person signs in there: their steps run, and those that wait are ready (P2)."""
        person = self._scene.people[user_name]
        self._scene.signed_in.add((person.id, connector))
        for pause in self._steps.pauses.values():
            whose = (pause["user_id"], pause["connector"], pause["state"])
            if whose == (person.id, connector, "waiting"):
                self._steps.move(pause, "ready")

    def signs_out(self, user_name: str, connector: str) -> None:
        """The person's grant there is gone."""
        self._scene.signed_in.discard((self._scene.people[user_name].id, connector))

    def releases(self, pause: str) -> None:
        """An administrator lets a waiting step run as the connector user (P12)."""
        self._steps.over(pause, "ready", "overridden", "waiting")["run_as"] = "connector"

    def suspends(self, user_name: str) -> None:
        """The person is suspended: their steps end with an error, what waits is over (F2, P10), and
        no action passes for them, one that did before neither.
        """
        person = replace(self._scene.people[user_name], active=False)
        self._scene.people[user_name] = person
        self._actions.end(person)
        for pause in self._steps.pauses.values():
            if pause["user_id"] == person.id and pause["state"] in OPEN:
                self._steps.move(pause, "cancelled", "user-suspended")

    def fall_silent(self) -> None:
        """Five minutes go by in which no claimer says a word: their pauses are ready (P8)."""
        for pause in self._steps.pauses.values():
            if pause["state"] == "claimed":
                self._steps.move(pause, "ready")

    def id_token(self, user_name: str) -> str:
        """Evidence that somebody is this person; it is good for one action."""
        token = f"fake.{secrets.token_urlsafe(16)}"
        self._actions.tokens[token] = self._scene.people[user_name].user_name
        return token

    def proves(self, coupon: int, user_name: str) -> str | None:
        """The person opens the link of a pending action and signs in.

        Answers where their browser goes: the return URL, with the one-time code that completes the
        action; None where none was named, and then it is complete.
        """
        return self._actions.prove(coupon, self._scene.people[user_name].user_name)

    def happens(self, type: str, **data: object) -> None:
        """Something happens that the feed tells of."""
        self._scene.happens(type, data)

    def reachable(self, is_reachable: bool = True) -> None:
        """Let nobody reach the broker, or everybody again."""
        self._routes.is_reachable = is_reachable
