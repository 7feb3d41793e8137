"""A person's name as HL7 v2 writes it (XPN): what AuthenticateUser.Ou.Name holds (R98, R99)."""

import re

from broker.domain import names
from broker.domain.mapping import Profile

# HL7 v2.5, 2.7.1: delimiters inside a component are escaped, and so are the ends of
# lines, which would end the segment somebody puts the name in.
ESCAPES = str.maketrans(
    {"\\": "\\E\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "|": "\\F\\"}
    | {"\r": "\\X0D\\", "\n": "\\X0A\\"}
)
PARTS = ("family", "given", "middle", "suffix", "prefix")
_PLAIN = {str(escaped)[1:-1]: chr(sign) for sign, escaped in ESCAPES.items()}
_ESCAPED = re.compile(r"\\([ESTFR]|X0[AD])\\")


def written(profile: Profile) -> str:
    """`family^given^middle^suffix^prefix`, trailing empty components dropped; "" without a name.

    Blanks around a part are no part of it, and a part of blanks is empty.

    A person of whom only the display name is known has it as the family name: HL7 has no place
    for a name in one piece.
    """
    parts = [
        profile.family_name,
        profile.given_name,
        profile.middle_name,
        profile.suffix,
        profile.prefix,
    ]
    components = [part.strip() for part in parts]
    if not any(components):
        components = [profile.display_name.strip()]
    return "^".join(component.translate(ESCAPES) for component in components).rstrip("^")


def parts(text: str) -> dict[str, str]:
    """What a written name says of `family`, `given`, `middle`, `suffix` and `prefix`, "" each."""
    said = [_ESCAPED.sub(lambda sign: _PLAIN[sign[1]], each) for each in text.split("^")]
    return dict(zip(PARTS, said + [""] * len(PARTS), strict=False))


def same(one: str, other: str) -> bool:
    """Whether two written names are one, whatever their case (R100)."""
    return names.key(one) == names.key(other)
