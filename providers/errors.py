"""
How a program says no, and what that means for the grant we hold.

* ProviderError              something outside did not do what was asked
  - GrantDead                only a new sign-in helps: needs_reauth
  - PersonNeeded             the person has something to do first: needs_reauth(interaction)
  - ClientMisconfigured      our registration is wrong: the connector needs its administrator
    - FieldWrong             a field of the form holds what cannot be used
    - HostRefused            a host, address or URL this connector may not talk to
  - TryLater                 transient; nothing is known about the grant
  - SourceBroken             what answers is no directory that can be read
  - PlaceGone                a place in a directory is over: its reading begins anew
  - Unclassified             another refusal; counted, never guessed at
  - Denied                   the authorization page came back without a code
  - NotProven                what was presented does not prove what it says

`provider_code` is the program's own word (or ours, in kebab-case); `provider_text` its sentence,
already redacted, so both may be logged, kept and shown. Exceptions of httpx and python-jose stay
inside this package.
"""


class ProviderError(Exception):
    """The program did not do what was asked.

    `advice` is what helps, in our words, where this program's refusal tells; else empty.
    """

    advice: str = ""

    def __init__(self, provider_code: str, provider_text: str = "") -> None:
        super().__init__(provider_code, provider_text)
        self.provider_code = provider_code
        self.provider_text = provider_text

    def __str__(self) -> str:
        if self.provider_text:
            return f"{self.provider_code}: {self.provider_text}"
        return self.provider_code


class GrantDead(ProviderError):
    """The grant is gone: revoked, expired, or its person was switched off."""


class PersonNeeded(ProviderError):
    """The program wants the person: another factor, a consent, a new password."""

    def __init__(
        self,
        provider_code: str,
        provider_text: str = "",
        *,
        suberror: str | None = None,
        claims: str | None = None,
    ) -> None:
        """`claims` goes into the next link's authorization request as it came."""
        super().__init__(provider_code, provider_text)
        self.suberror = suberror
        self.claims = claims


class ClientMisconfigured(ProviderError):
    """The program does not know us as we introduce ourselves; an administrator has to look."""


class FieldWrong(ClientMisconfigured):
    """A field of the form holds what cannot be used; its sentence is what helps."""

    def __init__(self, provider_code: str, provider_text: str) -> None:
        super().__init__(provider_code, provider_text)
        self.advice = f"{provider_text[:1].upper()}{provider_text[1:]}."


class HostRefused(ClientMisconfigured):
    """A host, an address or a URL that nothing may be sent to."""


class TryLater(ProviderError):
    """Not now: the program or the way to it is disturbed, and the grant may well be fine."""

    def __init__(
        self, provider_code: str, provider_text: str = "", *, retry_after_s: int | None = None
    ) -> None:
        """`retry_after_s` is the program's own wish, where it said one."""
        super().__init__(provider_code, provider_text)
        self.retry_after_s = retry_after_s


class SourceBroken(ProviderError):
    """What answers does not speak the protocol of its kind; trying again gives the same."""


class PlaceGone(ProviderError):
    """The place where a reading stood is no longer known over there."""


class Unclassified(ProviderError):
    """A refusal no row of the table names."""


class Denied(ProviderError):
    """The person said no, or the program would not ask them."""


class NotProven(ProviderError):
    """What was presented does not prove what it says."""
