"""What both kinds of SharePoint have alike: their step types, and how a site's path is told."""

from urllib.parse import quote, unquote

from providers.definition import StepType
from providers.errors import FieldWrong

STEP_TYPES = tuple(
    StepType(name, f"{label} (SharePoint)", user_authentication=True)
    for name, label in (
        ("retrieve_data", "Retrieve Data"),
        ("create_data", "Create Data"),
        ("update_data", "Update Data"),
        ("delete_data", "Delete Data"),
    )
)
"""All of them can run as the person (R22, R23)."""

HOST = r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)"
"""Part of a pattern: how a host begins; a quantifier says how many dots it has."""
PATH = r"(?!(?:.*/)?(?:\.|%2[Ee]){1,2}(?:/|$)).*"
"""Part of a pattern: a path that climbs nowhere."""


def path_of(typed: str) -> list[str]:
    """The parts of a path, each fit to stand in an address; FieldWrong where it climbs."""
    parts = [unquote(part) for part in typed.split("/") if part]
    if {".", ".."} & {*parts}:
        raise FieldWrong("site", "the path of a site has no dots alone between slashes")
    return [quote(part, safe="") for part in parts]
