"""What schemathesis need not try."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import schemathesis

LONGEST_URL = 60_000


@schemathesis.hook
def filter_query(_context: schemathesis.HookContext, query: Any) -> bool:
    """An address of 64 KiB ends in the HTTP parser (a plain 400), before anybody speaks SCIM."""
    return not query or len(urlencode(query)) < LONGEST_URL


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: Any, _kwargs: dict[str, Any]) -> None:
    """To wait for what nobody does is a minute lost; `Prefer: wait` has tests of its own."""
    if "wait" in str((case.headers or {}).get("Prefer", "")):
        del case.headers["Prefer"]
