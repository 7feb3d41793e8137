"""AuthenticateUser of a FakeBroker."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from broker.client.acting import EXPECTED, LOGON, NAME, STATUS
from broker.client.fake.scene import Person, Refusal, Scene, moment

NOT_ACTIVE = "user_not_active"


@dataclass(slots=True)
class Actions:
    """Verdicts, and actions that wait for somebody to sign in."""

    scene: Scene
    asked: dict[int, dict[str, Any]] = field(default_factory=dict)
    done: dict[int, dict[str, Any]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    proven: dict[int, tuple[str, str]] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)

    def perform(self, said: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """200 with a verdict where there is evidence, 202 with a link where there is none."""
        for item in said["items"]:
            if item[: len(EXPECTED)].lower() != EXPECTED.lower():
                raise Refusal(422, "unknown-item-name", ccowException="UnknownItemName")
        evidence = said.get("evidence")
        waits = evidence is None and said["mode"] == "async"
        if waits and not said.get("return_url") and not any(said["items"].values()):
            raise Refusal(422, "expected-logon-needed")
        coupon = next(self.scene.numbers)
        self.asked[coupon] = said
        if waits:
            url = f"https://broker.example/connect/{self.scene.new('lnk')}"
            return 202, {**self.shown(coupon), "authorization_url": url}
        person = self.tokens.pop(evidence["value"], None) if evidence else None
        self.judge(coupon, person, "evidence_used" if evidence else "not_authenticated")
        return 200, self.done[coupon]

    def prove(self, coupon: int, person: str) -> str | None:
        """A person signed in: done, or the return URL with the code that is wanted yet."""
        if (back := self.asked[coupon].get("return_url")) is None:
            self.judge(coupon, person)
            return None
        code = secrets.token_urlsafe(16)
        self.proven[coupon] = (code, person)
        return f"{back}{'&' if '?' in back else '?'}{urlencode({'coupon': coupon, 'code': code})}"

    def get(self, coupon: int, code: str | None) -> tuple[int, dict[str, Any]]:
        """Where an action stands; done with the code, where its person is proven."""
        if coupon not in self.asked:
            raise Refusal(404, "not-found")
        if code is not None and coupon in self.proven and coupon not in self.done:
            right, person = self.proven[coupon]
            if code != right:
                raise Refusal(403, "wrong-code")
            self.judge(coupon, person)
        return (200, self.done[coupon]) if coupon in self.done else (202, self.shown(coupon))

    def shown(self, coupon: int) -> dict[str, Any]:
        """A pending action."""
        said = {"actionCoupon": coupon, "status": "pending", "expires_at": moment(900)}
        return said | {"version": self.version(coupon)}

    def version(self, coupon: int) -> int:
        """How often an action changed, from 1 on."""
        return 1 + (coupon in self.proven) + (coupon in self.done) + (coupon in self.ended)

    def end(self, person: Person) -> None:
        """Nothing passes any more for who was suspended (safety 8)."""
        for coupon, (_, user_name) in self.proven.items():
            if user_name == person.user_name and coupon not in self.done:
                self.judge(coupon, None, NOT_ACTIVE)
        for coupon, done in self.done.items():
            if done["user"] and done["user"]["id"] == person.id:
                kept = {item: value for item, value in done["items"].items() if item != NAME}
                user = done["user"] | {"state": "suspended"}
                self.done[coupon] = done | {"reason": NOT_ACTIVE, "user": user}
                self.done[coupon]["items"] = kept | {STATUS: "Fail"}
                self.ended.add(coupon)
        self.scene.changed()

    def judge(self, coupon: int, user_name: str | None, reason: str | None = None) -> None:
        """Pass for who is proven, expected and active by now; values exact in case (R93)."""
        said, person = self.asked[coupon], self.scene.people[user_name] if user_name else None
        sent = {item[len(EXPECTED) :]: logon for item, logon in said["items"].items() if logon}
        logons = dict(sent)
        unmapped = []
        if person is not None:
            reason = None if person.active else NOT_ACTIVE
            for suffix in {**dict.fromkeys(said["suffixes"]), **sent}:
                if suffix in person.logons:
                    logons[suffix] = person.logons[suffix]
                elif suffix not in sent:
                    unmapped.append(suffix)
            if any(person.logons.get(suffix) != logon for suffix, logon in sent.items()):
                reason = "expected_user_mismatch"
        items = {STATUS: "Fail" if reason else "Pass"}
        items |= {LOGON + suffix: logon for suffix, logon in logons.items()}
        if person is not None and not reason:
            items[NAME] = person.name
        self.done[coupon] = {
            "actionCoupon": coupon,
            "items": items,
            "user": person
            and {"id": person.id, "state": "active" if person.active else "suspended"},
            "reason": reason,
            "unmapped": unmapped,
            "managerSignature": "fake",
        }
        self.scene.changed()
