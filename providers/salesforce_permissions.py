"""The permissions a Salesforce connector lives on: asked for, and told as present or missing."""

import re

from providers.capabilities import Finding

# Column of a permission set → the words of the owner's document (R59).
PERMISSIONS = {
    "PermissionsModifyAllData": "Modify All Data",
    "PermissionsModifyMetadata": "Modify Metadata Through Metadata API Functions",
    "PermissionsApiEnabled": "API Enabled",
    "PermissionsAuthorApex": "Author Apex",
    "PermissionsCustomizeApplication": "Customize Application",
    "PermissionsEmailSingle": "Send Email",
}


def query(user_id: str) -> str:
    """SOQL for every permission set assigned to a user, and the user's profile (R58); ids are
    letters and digits only.
    """
    columns = ", ".join(
        ["Assignee.Profile.Name", *(f"PermissionSet.{name}" for name in PERMISSIONS)]
    )
    user = re.sub("[^A-Za-z0-9]", "", user_id)
    return f"SELECT {columns} FROM PermissionSetAssignment WHERE AssigneeId = '{user}'"


def findings(rows: object, *, emails: bool) -> list[Finding]:
    """The profile; and each permission, a warning where no assignment gives it (R59).

    Send Email counts only where flows send any.
    """
    records = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    sets = [row.get("PermissionSet") for row in records]
    given = {
        name for one in sets if isinstance(one, dict) for name, on in one.items() if on is True
    }
    profiles = [_inner(_inner(_inner(row, "Assignee"), "Profile"), "Name") for row in records]
    known = [Finding("ok", f"Profile: {name}.") for name in profiles[:1] if isinstance(name, str)]
    return known + [
        Finding("ok", f"{words}: present.")
        if name in given
        else Finding("warning", f"{words}: missing.")
        for name, words in PERMISSIONS.items()
        if emails or name != "PermissionsEmailSingle"
    ]


def _inner(record: object, name: str) -> object:
    return record.get(name) if isinstance(record, dict) else None
