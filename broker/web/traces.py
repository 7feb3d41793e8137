"""W3C Trace Context: whose trace a request belongs to, and our part of it."""

import re
import secrets
from itertools import count

GIVEN = re.compile(rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
NOTHING = {b"0" * 16, b"0" * 32}
SAMPLED = 1
_PROCESS = secrets.token_hex(4)  # asking the kernel for each span is 13 us
_spans = count(1)


def joined(given: bytes) -> tuple[str, bytes] | None:
    """The trace that a `traceparent` names and the one we answer with: ours is the span now.

    None where it is none (§3.2.2.3); a later version is read as far as version 00 goes (§4.3).
    """
    found = GIVEN.fullmatch(given)
    if found is None or NOTHING & {found[2], found[3]} or (found[1] == b"00" and found[5]):
        return None
    trace, flags = found[2].decode(), int(found[4], 16) & SAMPLED
    span = f"{_PROCESS}{next(_spans) & 0xFFFFFFFF:08x}"
    return trace, f"00-{trace}-{span}-{flags:02x}".encode()
