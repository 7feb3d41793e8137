"""Salesforce: only what it does differently from other programs that speak OAuth 2."""

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlencode, urlsplit

from providers import answers, oauth2
from providers import salesforce_permissions as permissions
from providers.answers import FEWEST_S, bearer, left
from providers.capabilities import Finding, Registration, Report, TokenResponse
from providers.egress import Answer, Egress
from providers.errors import NotProven, TryLater
from providers.program import LARGEST, Program
from providers.salesforce_definition import DEFINITION
from providers.secret import Secret
from providers.speech import Speech, Who

# Salesforce help, errors of OAuth flows. Two refreshes of one token at the same time: the loser is
# told "invalid_grant" with one of these texts (release notes Summer '24), and its grant is fine.
DIALECT = oauth2.Dialect(
    grant_dead=frozenset({"inactive_user"}),
    misconfigured=frozenset({"invalid_client_id", "invalid_client_credentials", "inactive_org"}),
    transient=frozenset({"rate_limit_exceeded"}),
)
REFRESH = replace(
    DIALECT,
    transient_texts=("token request is already being processed", "expired authorization code"),
)
SPEECH = Speech(
    authorize="{base}/services/oauth2/authorize",
    token="{base}/services/oauth2/token",
    scopes=("api", "id", "refresh_token"),  # without the last none comes (help, scopes)
    refusals=DIALECT,
    refresh_refusals=REFRESH,
    base_url_at="instance_url",
    who=Who(key=("organization_id", "user_id"), display=("username", "user_id")),
    revoke="{base}/services/oauth2/revoke",
    introspect="{base_url}/services/oauth2/introspect",
)

_IDENTITY = re.compile(r"/id/(00D[A-Za-z0-9]{12,15})/(005[A-Za-z0-9]{12,15})")


class Salesforce(Program):
    """One Salesforce host: an identity URL tells whose a token is, queries what they may do."""

    def __init__(self, egress: Egress, *, simulator: str | None = None) -> None:
        super().__init__(egress, DEFINITION, {"": SPEECH}, simulator=simulator)

    async def revoke(self, registration: Registration, token: Secret) -> None:
        """Whoever holds a token may end it there: the client is not asked for."""
        url = registration.origin + "/services/oauth2/revoke"
        answer = await oauth2.send(self._egress.via(registration.relay), url, {"token": token})
        answers.revoked(answer, DIALECT, (token,))

    async def check(
        self, registration: Registration, access_token: Secret, base_url: str
    ) -> Report:
        """The saved identity: who it is, whether the API answers, which permissions it has."""
        base = registration.environment.trusted(base_url)
        version = registration.fields.get("api_version") or "62.0"
        headers = bearer(access_token)
        way = self._egress.via(registration.relay)
        answer = await way.get(base + "/services/oauth2/userinfo", headers=headers)
        who = _json(answer)
        if answer.status in (401, 403) or not isinstance(who.get("user_id"), str):
            return Report((Finding("failure", "Salesforce does not accept the access token."),))
        found = [Finding("ok", f"Connected as {who.get('preferred_username') or who['user_id']}.")]
        data = f"{base}/services/data/v{version}"
        limits = await way.get(data + "/limits", headers=headers, limit=LARGEST)
        if limits.status != 200:
            found.append(Finding("failure", "The API does not answer: is API Enabled set?"))
            return Report(tuple(found))
        found.append(Finding("ok", "The API answers."))
        query = urlencode({"q": permissions.query(str(who["user_id"]))})
        rows = _json(await way.get(f"{data}/query?{query}", headers=headers))
        emails = registration.fields.get("send_email") == "yes"
        return Report((*found, *permissions.findings(rows.get("records"), emails=emails)))

    async def _told(
        self,
        registration: Registration,
        body: Mapping[str, object],
        given: TokenResponse,
        until: float,
    ) -> Mapping[str, object]:
        """The organization and user of the identity URL, and the name people know them by."""
        url = registration.environment.trusted(body.get("id"))
        named = _IDENTITY.fullmatch(urlsplit(url).path)
        if named is None or "?" in url or "#" in url:
            raise NotProven("identity", "the answer names no organization and user")
        known = {"organization_id": named[1], "user_id": named[2]}
        if left(until) < FEWEST_S:
            return known
        way, headers = self._egress.via(registration.relay), bearer(given.access_token)
        try:
            answer = await way.get(url, headers=headers, total_s=left(until))
        except TryLater:
            return known  # the code is spent, the key is known: only the name has to wait
        if answer.status >= 500:
            return known
        who = _json(answer)
        if any(who.get(name) != value for name, value in known.items()):
            raise NotProven("identity", "the identity URL answers for somebody else")
        return who


def _json(answer: Answer) -> dict[str, object]:
    """The JSON object of a 200; an empty one for everything else."""
    try:
        body = answer.json() if answer.status == 200 else None
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
