"""What a described program has to keep so that it can work, and its secrets stay where they go."""

import re
from collections.abc import Iterator
from itertools import combinations

from providers.definition import REHEARSAL, RELAY, Definition, Section, Source
from providers.places import Environment, origin_of_url
from providers.speech import HOLE, Speech

NAME = re.compile(r"[a-z][a-z0-9_]*")
PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
HOSTS = re.compile(r"(?:\*\.)?(?:[a-z0-9-]+\.)+[a-z0-9-]+")
ADDRESS = re.compile(
    r"(?:\{base\}|\{api\}|https://[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d+)?)(?:/[^\s\\?#\"<>]*)?"
)
PROBED = re.compile(
    r"(?:\{base_url\}|\{base\}|\{api\}|https://[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d+)?)"
    r"(?:/[^\s\\#\"<>]*)?"
)
TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2
KNOWN = frozenset({"base", "api", "host", "base_url"})
OURS = frozenset(
    {"client_id", "redirect_uri", "response_type", "scope", "state"}  # RFC 6749 §4.1.1
    | {"code_challenge", "code_challenge_method"}  # RFC 7636 §4.3
)
"""Parameters of the authorization request that the broker alone says."""
BEGIN = "begin with {base}, {api} or https:// and a host, and add only a path"


def addresses(speech: Speech) -> Iterator[tuple[str, str]]:
    """Each address of a speech that has one, and its place in the file."""
    for name in ("authorize", "token", "revoke", "introspect", "issuer", "base_url"):
        if address := getattr(speech, name):
            yield f"/speech/{name}", address
    if speech.who and speech.who.url:
        yield "/speech/who/url", speech.who.url
    for number, probe in enumerate(speech.probes):
        yield f"/speech/probes/{number}/url", probe.url


def holes(speech: Speech) -> frozenset[str]:
    """The fields that decide where something secret goes (safety 18)."""
    found = {name for _, template in _templates(speech) for name in HOLE.findall(template)}
    return frozenset(found - KNOWN)


def _templates(speech: Speech) -> Iterator[tuple[str, str]]:
    """Whatever may have holes: the addresses, and whom an assertion is for, which need be none."""
    yield from addresses(speech)
    if speech.audience:
        yield "/speech/audience", speech.audience


def problems(
    definition: Definition, speech: Speech, *, certificate: bool = False
) -> Iterator[tuple[str, str]]:
    """What is wrong with a program: its place below /programs/N, and what it is and needs.

    `certificate` says that the file offers one in place of the client secret.
    """
    if not NAME.fullmatch(definition.kind):
        yield "/kind", "it is no plain word; use a-z, 0-9 and _"
    yield from _twice("/environments", [place.name for place in definition.environments])
    for number, place in enumerate(definition.environments):
        for what in _misplaced(place):
            yield f"/environments/{number}", what
    for place, other in combinations(definition.environments, 2):
        if place.meets(other):
            what = "share an origin, and so would their secrets; make two programs of them"
            yield "/environments", f"{place.name} and {other.name} {what}"
    yield from _twice("/fields", [RELAY, *(one.name for one in definition.fields)])
    for one in definition.fields:
        if not NAME.fullmatch(one.name):
            yield "/fields", f"{one.name} is no plain word; use a-z, 0-9 and _"
        if one.name in KNOWN:
            yield "/fields", f"{one.name} is what addresses call a place; choose another name"
        if one.protected and (one.default or one.section is Section.ADDITIONAL):
            yield "/fields", f"{one.name} is protected; give it no default, and another section"
        if one.default and one.choices and one.default not in {each.value for each in one.choices}:
            yield "/fields", f"{one.default} is no choice of {one.name}; default to one of them"
    yield from _twice("/step_types", [one.name for one in definition.step_types])
    if definition.rehearsal and not PATH.fullmatch(definition.rehearsal):
        yield "/rehearsal", "it is no path; use one such as /tickets"
    if certificate and speech.client == "none":
        yield "/certificate", "a public client proves nothing; leave it out, or change client"
    yield from _addresses(definition, speech)
    yield from _words(speech)
    yield from _grants(definition, speech)
    lives = (definition.assumed_lifetime_s, definition.keep_alive_s, definition.idle_s or 1 << 40)
    if not lives[0] < lives[1] < lives[2]:
        yield "/lifetimes", "they do not grow; choose access_s < keep_alive_s < idle_s"


def _misplaced(place: Environment) -> Iterator[str]:
    if place.name == REHEARSAL:
        yield "rehearsal is the simulator's; choose another name"
    if (place.origin is None) is not bool(place.typed):
        yield 'it has both or neither of "origin" and "hosts"; keep one of them'
    for origin in (place.origin, place.api):
        if origin and not (_is_safe(origin) and origin_of_url(origin) is not None):
            yield f"{origin} is no https address; write one such as https://login.example.com"
    if place.origin and origin_of_url(place.origin) not in (place.origin, None):
        yield f'{place.origin} is more than an origin; what follows the host belongs into "path"'
    if not PATH.fullmatch(place.path):
        yield f"{place.path} is no path; write one such as /v2"
    for pattern in (*place.typed, *place.answers):
        if not HOSTS.fullmatch(pattern):
            yield f"{pattern} is too wide or no host; write example.com or *.example.com"


def _addresses(definition: Definition, speech: Speech) -> Iterator[tuple[str, str]]:
    """A hole stands in the path alone, for a field that is open and always filled."""
    filled = {
        one.name
        for one in definition.fields
        if not one.protected and (one.required or one.default) and one.when is None
    }
    for place, address in addresses(speech):
        if not (PROBED if _is_probed(place) else ADDRESS).fullmatch(address):
            yield place, f"{address} is no address; {BEGIN}"
    for place, template in _templates(speech):
        probed = _is_probed(place)
        for name in HOLE.findall(template):
            if name not in filled | KNOWN or (name == "base_url" and not probed):
                yield place, f"{{{name}}} is no field; declare it open and required"
    if speech.audience and not HOLE.sub("x", speech.audience).isprintable():
        yield "/speech/audience", "it holds what cannot be printed; write one address"


def _is_probed(place: str) -> bool:
    """Whether what is asked there already has a token, and so the API of one grant."""
    return place.startswith(("/speech/probes", "/speech/who"))


def _words(speech: Speech) -> Iterator[tuple[str, str]]:
    """What is sent beside our own words, and what refusals are looked through for."""
    if not speech.separator:
        yield "/speech/separator", "scopes would run together; leave it out, or give one character"
    if not TOKEN.fullmatch(speech.scheme):
        yield "/speech/scheme", "it is no word a header can begin with; write one such as Bearer"
    for name in sorted(OURS & {*speech.more}):
        yield "/speech/more", f"{name} is said by the broker itself; leave it out"
    dialects = {"refusals": speech.refusals, "refresh_refusals": speech.refresh_refusals}
    for place, dialect in dialects.items():
        for text in (*dialect.transient_texts, *dialect.misconfigured_texts) if dialect else ():
            if text != text.lower():
                yield f"/speech/{place}", f"{text} is never found; write it in lower case"


def _grants(definition: Definition, speech: Speech) -> Iterator[tuple[str, str]]:
    if (speech.mint, speech.subject) != ("client_credentials", ""):
        yield "/speech", "mint and subject are not for described programs; leave them out"
    if definition.method.people is Source.REFRESH:
        if not speech.authorize:
            yield "/speech", "people have no page to sign in at; give its address as authorize"
        if speech.who is None or not speech.who.key:
            yield "/speech", "nothing tells whose account it is; give who, with its key"
    is_app = definition.method.connector_user is Source.MINTED
    if is_app and speech.client == "none":
        yield "/grants", "client_credentials are for clients with a secret; change client"
    tells = speech.who and speech.who.url and not is_app  # an app is no user there
    if not (speech.introspect or speech.probes or tells):
        yield "/speech", "nothing tells whether a token is alive; give introspect or probes"


def _is_safe(url: str) -> bool:
    return url.startswith("https://") and "?" not in url and "#" not in url


def _twice(place: str, names: list[str]) -> Iterator[tuple[str, str]]:
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield place, f"{name} is there twice; keep one"
