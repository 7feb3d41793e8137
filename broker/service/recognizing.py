"""Whether an id_token proves who somebody is, and who that is here (safety 5, 28)."""

from dataclasses import dataclass

from broker.db.database import Transaction
from broker.domain import names
from broker.domain.actions import Proven
from broker.domain.callers import Caller
from broker.domain.clock import MINUTE
from broker.domain.errors import Unavailable
from broker.domain.users import User
from broker.store import evidence, identities, logons, projects
from providers import jwt
from providers.claims import Claims
from providers.errors import NotProven, ProviderError
from providers.oidc import Issuers
from providers.secret import Secret

REMEMBERED = 10 * MINUTE
"""Evidence is 5 minutes old at most and clocks differ by 30 seconds, so this outlives it."""


@dataclass(frozen=True, slots=True)
class Recognizing:
    """Asks the issuer for its keys, outside of any transaction, and the database for the person."""

    issuers: Issuers

    async def claims(self, caller: Caller, id_token: Secret, now: int) -> Claims:
        """What an id_token proves to this key; NotProven, with its code, for any flaw.

        Only a pair of issuer and audience that is registered with the key counts. Unavailable
        where the issuer's keys cannot be had now.
        """
        token = id_token.reveal()
        issuer = jwt.unverified_issuer(token)
        audiences = [audience for known, audience in caller.evidence if known == issuer]
        if issuer is None or not audiences:
            raise NotProven("issuer", "the key takes no evidence of this issuer")
        refused: NotProven | None = None
        for audience in audiences:
            try:
                return await self.issuers.check_evidence(
                    token, issuer=issuer, audience=audience, now=now
                )
            except NotProven as error:
                refused = error
                if error.provider_code != "audience":
                    break
            except ProviderError as error:
                raise Unavailable(
                    "The issuer of the evidence cannot be asked for its keys now.",
                    reason="issuer-unavailable",
                    retry_after_s=getattr(error, "retry_after_s", None),
                ) from error
        raise refused or NotProven("audience")


def first_shown(tx: Transaction, project: str, claims: Claims) -> bool:
    """Whether this evidence was never shown before; from now on it was (safety 28)."""
    return evidence.first_use(tx, project, claims.digest.hex(), tx.now + REMEMBERED)


def person_of(tx: Transaction, project: str, claims: Claims) -> User | None:
    """Whom the claims name: by (issuer, subject), else by the project's mapped claim (safety 5)."""
    known = identities.find(tx, project, claims.issuer, claims.subject)
    if known is not None:
        return known
    configured = projects.find(tx, project)
    if configured is None or configured.oidc_issuer != claims.issuer or not configured.oidc_claim:
        return None
    value = claims.all.get(configured.oidc_claim.partition("=")[0])
    return identities.claimed(tx, project, value) if isinstance(value, str) and value else None


def proven(tx: Transaction, user: User) -> Proven:
    """A person as AuthenticateUser judges them, with the logons of the mapping table (R85)."""
    held = logons.of_user(tx, user.project, user.id)
    return Proven(
        user=user.id,
        is_active=user.is_active,
        profile=user.profile,
        logons={names.key(suffix): logon for suffix, logon in held.items()},
    )
