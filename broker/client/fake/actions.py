"""AuthenticateUser of a FakeBroker."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from broker.client.acting import EXPECTED, LOGON, NAME, STATUS
from broker.client.fake.scene import Person, Refusal, Scene, moment


@dataclass(slots=True)
class Actions:
    """Verdicts, and actions that wait for somebody to sign in."""

    scene: Scene
    asked: dict[int, dict[str, Any]] = field(default_factory=dict)
    done: dict[int, dict[str, Any]] = field(default_factory=dict)
    tokens: dict[str, Person] = field(default_factory=dict)
    proven: dict[int, tuple[str, Person]] = field(default_factory=dict)

    def perform(self, said: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """200 with a verdict where there is evidence, 202 with a link where there is none."""
        for item in said["items"]:
            if item[: len(EXPECTED)].lower() != EXPECTED.lower():
                raise Refusal(422, "unknown-item-name", ccowException="UnknownItemName")
        coupon = next(self.scene.numbers)
        self.asked[coupon] = said
        evidence = said.get("evidence")
        if evidence is None and said["mode"] == "async":
            url = f"https://broker.example/connect/{self.scene.new('lnk')}"
            return 202, {**self.shown(coupon), "authorization_url": url}
        person = self.tokens.pop(evidence["value"], None) if evidence else None
        self.judge(coupon, person, "evidence_used" if evidence else "not_authenticated")
        return 200, self.done[coupon]

    def prove(self, coupon: int, person: Person) -> str | None:
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
        return 1 + (coupon in self.proven) + (coupon in self.done)

    def judge(self, coupon: int, person: Person | None, reason: str | None = None) -> None:
        """Pass for who is proven, expected and active; values exact in case (R93)."""
        said = self.asked[coupon]
        sent = {item[len(EXPECTED) :]: logon for item, logon in said["items"].items() if logon}
        logons = dict(sent)
        unmapped = []
        if person is not None:
            reason = None if person.active else "user_not_active"
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
