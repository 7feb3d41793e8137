"""SharePoint Server: tokens made by high trust, sign-ins at AD FS, or a name and a password."""

import base64
import re
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from providers import oauth2
from providers.capabilities import (
    Account,
    Finding,
    Registration,
    Report,
    TokenResponse,
)
from providers.egress import TOTAL_S, Answer, Egress
from providers.errors import FieldWrong, GrantDead, PersonNeeded
from providers.jwt import SigningKey
from providers.program import Program
from providers.s2s import LIFETIME_S, Trust, realm_of
from providers.secret import Secret
from providers.sharepoint import path_of
from providers.sharepoint_server_definition import DEFINITION, HIGH_TRUST, HOUR_S, OIDC, PASSWORD
from providers.speech import Speech, Who

SKEW_S = 60  # of clocks; beyond it a fresh token may not count yet, or no more
REFUSED = {
    HIGH_TRUST: "The farm does not believe the token: compare client ID, issuer ID, realm and"
    " certificate with what Get-SPTrustedSecurityTokenIssuer shows.",
    OIDC: "SharePoint does not accept the access token: compare the relying party identifier.",
    PASSWORD: "SharePoint does not accept this user name and password.",
}
SIGN_IN_PAGE = (
    "the farm sends to a sign-in page, as it does for multi-factor authentication; a user name and"
    " a password alone do not pass it"
)
OTHER_WAYS = (
    "Have the farm's administrator allow Basic authentication for this account, or choose one of"
    " the two OAuth integrations."
)
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*", re.I)
_SID = re.compile(r"s-1(-\d{1,15}){2,15}", re.I)


class SharePointServer(Program):
    """A farm of the customer's own; AD FS speaks OAuth 2, the rest is made here.

    `clock` is Unix time in seconds.
    """

    def __init__(
        self,
        egress: Egress,
        *,
        simulator: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(egress, DEFINITION, {}, simulator=simulator)
        self._clock = clock

    def speech(self, registration: Registration) -> Speech:
        """AD FS's OAuth 2°; whose a token is, the site itself tells."""
        web, adfs = _web(registration), _adfs(registration)
        return Speech(
            authorize=adfs + "/oauth2/authorize",
            token=adfs + "/oauth2/token",
            scopes=("openid",),
            more={"resource": registration.fields.get("resource") or registration.origin},
            base_url=web,
            who=Who(key=("LoginName",), display=("LoginName",), url=web + "/currentuser"),
            issuer=adfs,
            scheme="Basic" if registration.integration == PASSWORD else "Bearer",
            accept="application/json;odata=nometadata",
        )

    async def mint(self, registration: Registration, person: str | None) -> TokenResponse:
        """A token of high trust, for the person with that SID or for the app; or the password.

        A password is not tried here: one that became wrong would lock the account at the farm,
        mint by mint.
        """
        if registration.integration == HIGH_TRUST:
            return await self._trusted(registration, person)
        name = registration.fields.get("user_name", "")
        password = registration.secrets.get("password")
        if person or not name or ":" in name or not password:
            raise FieldWrong("user-name", "a user name and a password are needed")
        pair = base64.b64encode(f"{name}:{password.reveal()}".encode()).decode()
        ours = Account(name.casefold(), name)
        return _made(registration, Secret(pair), HOUR_S, ours, token_type="Basic")

    def _whose(self, registration: Registration) -> Who | None:
        return self.speech(registration).who  # an app has a login name there as well

    async def test(self, registration: Registration) -> Report:
        """The site, opened by what was typed; with AD FS, whether it knows the client."""
        if registration.integration == OIDC:
            return await super().test(registration)
        made = await self.mint(registration, None)
        return await self.check(registration, made.access_token, made.base_url or "")

    async def check(
        self, registration: Registration, access_token: Secret, base_url: str
    ) -> Report:
        """Who the site takes the token for, and the title of the site."""
        web = _web(registration)
        answer = await self._get(registration, web + "/currentuser", access_token, base_url)
        if answer.status in (401, 403):
            refused = Finding("failure", REFUSED[registration.integration or OIDC])
            return Report((refused, *self._skew(answer)))
        if answer.status == 404:
            return Report((Finding("failure", "There is no site at this path of the host."),))
        who = oauth2.sort(answer, oauth2.PLAIN, (access_token,)).get("LoginName")
        answer = await self._get(registration, web + "?$select=Title", access_token, base_url)
        if answer.status in (401, 403):
            refused = Finding("failure", f"{who} may not open the site.")
            return Report((refused, *self._skew(answer)))
        title = oauth2.sort(answer, oauth2.PLAIN, (access_token,)).get("Title")
        known = (Finding("ok", f"Connected as {who}."), Finding("ok", f"The site is {title}."))
        return Report((*known, *self._skew(answer)))

    async def _trusted(self, registration: Registration, person: str | None) -> TokenResponse:
        private = registration.secrets.get("private_key") or Secret("")
        said = registration.fields
        if person is not None and not _SID.fullmatch(person):
            raise GrantDead("no-sid", "the person's logon is no security identifier (S-1-5-21-…)")
        trust = Trust(
            app=registration.client_id,
            issuer=said.get("issuer_id", ""),
            realm=said.get("realm") or await self._realm(registration),
            host=registration.origin.partition("://")[2],
            key=SigningKey.from_pem(private, said.get("certificate", "")),
        )
        now = int(self._clock())
        token = trust.for_app(now) if person is None else trust.for_person(person, now)
        whose = person or registration.client_id
        return _made(registration, token, LIFETIME_S, Account(whose, whose))

    async def _realm(self, registration: Registration) -> str:
        """The realm, as Microsoft's TokenHelper asks: the farm tells whoever has an empty token."""
        url = _site(registration) + "/_vti_bin/client.svc"
        egress = self._egress.via(registration.relay)
        answer = await egress.get(url, headers={"Authorization": "Bearer"})
        realm = realm_of(answer.headers.get("www-authenticate", ""))
        if realm is None:
            if answer.status not in (401, 404):
                oauth2.sort(answer, oauth2.PLAIN)
            raise FieldWrong("no-realm", "the farm does not tell its realm: enter it")
        return realm

    async def _get(
        self,
        registration: Registration,
        url: str,
        token: Secret,
        base_url: str,
        total_s: float = TOTAL_S,
    ) -> Answer:
        """The site's answer; PersonNeeded where it is the way to a sign-in page."""
        answer = await super()._get(registration, url, token, base_url, total_s)
        wants_page = "x-forms_based_auth_required" in answer.headers
        if 300 <= answer.status < 400 or (answer.status == 403 and wants_page):
            failure = PersonNeeded("sign-in-page", SIGN_IN_PAGE)
            failure.advice = OTHER_WAYS
            raise failure
        return answer

    def _skew(self, answer: Answer) -> list[Finding]:
        try:
            there = parsedate_to_datetime(answer.headers.get("date", ""))
        except ValueError:
            return []
        apart = round(there.timestamp() - self._clock())
        if abs(apart) <= SKEW_S:
            return []
        return [Finding("warning", f"The farm's clock and ours are {abs(apart)} s apart.")]


def _made(
    registration: Registration,
    token: Secret,
    life_s: int,
    account: Account,
    token_type: str = "Bearer",
) -> TokenResponse:
    base = _web(registration)
    return TokenResponse(token, None, life_s, (), base, account, token_type)


def _site(registration: Registration) -> str:
    """The address of the site, below the connector's host."""
    path = path_of(registration.fields.get("site", ""))
    return "/".join((registration.base, *path))


def _web(registration: Registration) -> str:
    return _site(registration) + "/_api/web"


def _adfs(registration: Registration) -> str:
    """Where AD FS is: at the host that was named, else at the site's own."""
    host = registration.fields.get("adfs", "").removeprefix("https://").rstrip("/")
    if host and not _HOST.fullmatch(host):
        raise FieldWrong("adfs", "the host of AD FS has to look like sts.acme.example")
    return f"https://{host}/adfs" if host else registration.base + "/adfs"
