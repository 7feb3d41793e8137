"""The people of the demo: 120 invented employees of Acme, two of them with odd records."""

from dataclasses import dataclass

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
BADGE = "urn:acme:params:scim:schemas:extension:badge:1.0:User"

GIVEN = (
    *("Kim", "Amara", "Bela", "Carlos", "Dana", "Elif"),
    *("Farid", "Greta", "Hugo", "Ines", "Jonas", "Luz"),
)
FAMILY = (
    *("Lee", "Okafor", "Szabo", "Rivera", "Novak"),
    *("Demir", "Rahimi", "Lindqvist", "Moreau", "Costa"),
)
WORK = (
    ("Sales", "Account executive"),
    ("Service", "Support engineer"),
    ("Finance", "Controller"),
    ("Legal", "Contract manager"),
    ("People", "Recruiter"),
)
HEADCOUNT = len(GIVEN) * len(FAMILY)


@dataclass(frozen=True, slots=True)
class Person:
    """One employee. `external_id` is who they are at the identity provider, for ever."""

    number: int
    given: str
    family: str
    department: str
    title: str

    @property
    def external_id(self) -> str:
        return f"acme-{self.number:04d}"

    @property
    def user_name(self) -> str:
        namesake = "" if self.number <= HEADCOUNT else f".{self.number}"
        return f"{self.given}.{self.family}{namesake}@acme.example".lower()

    @property
    def display_name(self) -> str:
        return f"{self.given} {self.family}"

    @property
    def roles(self) -> tuple[str, ...]:
        """What the identity provider says they are: the first employee runs the place."""
        return ("administrator",) if self.number == 1 else ()

    def document(self) -> dict[str, object]:
        """The SCIM user their directory pushes; two people's hold what no schema here knows."""
        document: dict[str, object] = {
            "schemas": [USER, ENTERPRISE],
            "externalId": self.external_id,
            "userName": self.user_name,
            "name": {"givenName": self.given, "familyName": self.family},
            "displayName": self.display_name,
            "title": self.title,
            "emails": [{"value": self.user_name, "type": "work", "primary": True}],
            "active": True,
            ENTERPRISE: {"employeeNumber": f"{self.number}", "department": self.department},
        }
        if self.number == HEADCOUNT // 2:
            document["shoeSize"] = 43
        if self.number == HEADCOUNT:
            document |= {"schemas": [USER, ENTERPRISE, BADGE], BADGE: {"color": "blue"}}
        return document


def person(number: int) -> Person:
    """The employee with this number, from 1 on; beyond the 120 each has a namesake among them."""
    index = number - 1
    given = index % len(GIVEN)
    family = (index // len(GIVEN) + given) % len(FAMILY)
    department, title = WORK[index % len(WORK)]
    return Person(number, GIVEN[given], FAMILY[family], department, title)


PEOPLE: tuple[Person, ...] = tuple(map(person, range(1, HEADCOUNT + 1)))
