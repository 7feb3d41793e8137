"""Any program that speaks OAuth 2: one engine, and a Speech that says all that differs."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from providers import answers, oauth2
from providers.answers import FEWEST_S, left, within
from providers.assertions import JWT_BEARER, bearer_assertion, introduced, sent
from providers.capabilities import (
    Account,
    Finding,
    Introspection,
    Registration,
    Report,
    TokenResponse,
)
from providers.definition import Definition, Source
from providers.egress import TOTAL_S, Answer, Egress
from providers.errors import (
    ClientMisconfigured,
    GrantDead,
    NotProven,
    ProviderError,
    Unclassified,
)
from providers.oauth2 import Pkce
from providers.places import origin_of_url
from providers.secret import Secret
from providers.speech import Probe, Speech, Who, believed, filled, is_issuer

LARGEST = 256 * 1024  # what an API may answer to a probe


class Program:
    """Authorize, exchange, refresh, mint, revoke, introspect, test and check, by a Speech.

    A kind of program whose data do not say everything overrides `speech` or `owned`.
    """

    def __init__(
        self,
        egress: Egress,
        definition: Definition,
        speeches: Mapping[str, Speech],
        *,
        simulator: str | None = None,
    ) -> None:
        """`speeches` are by integration, or by "" where the definition has none."""
        self._egress = egress
        self._definition = definition.offered(simulator, egress.relays)
        self._speeches = speeches

    @property
    def definition(self) -> Definition:
        return self._definition

    def speech(self, registration: Registration) -> Speech:
        """How this connector's program is spoken to."""
        if (speech := self._speeches.get(registration.integration or "")) is None:
            raise ClientMisconfigured("integration-missing", "the integration has to be chosen")
        return speech

    def owned(
        self, registration: Registration, given: TokenResponse, told: Mapping[str, object]
    ) -> TokenResponse:
        """The tokens with whose they are, by what `who` told; NotProven where it does not say."""
        who = self.speech(registration).who
        return replace(given, account=who.account(told)) if who else given

    def api(self, registration: Registration) -> str | None:
        return filled(self.speech(registration).base_url, registration) or None

    def authorize_url(
        self,
        registration: Registration,
        *,
        state: str,
        challenge: str,
        scopes: tuple[str, ...] = (),
        claims: str | None = None,
    ) -> str:
        speech = self.speech(registration)
        return oauth2.authorize_url(
            filled(speech.authorize, registration),
            client_id=registration.client_id,
            redirect_uri=registration.redirect_uri,
            scopes=(speech.separator.join(speech.wanted(scopes)),),
            state=state,
            challenge=challenge,
            more={**speech.more, **({"claims": claims} if claims else {})},
        )

    async def exchange(
        self, registration: Registration, *, answer: Mapping[str, str], verifier: Secret
    ) -> TokenResponse:
        """Redeem the code; then ask whose it is, and how long the access token lives."""
        speech = self.speech(registration)
        code = oauth2.code_of(
            answer,
            issuer=lambda iss: is_issuer(registration, speech, iss),
            issuer_promised=speech.issuer_promised,
        )
        until = within(TOTAL_S)
        form = oauth2.redeeming(code, registration.redirect_uri, verifier)
        body = await self._ask(registration, form, speech.refusals)
        given = believed(registration, speech, body, speech.scopes)
        told = await self._told(registration, body, given, until)
        return await self._timed(registration, self.owned(registration, given, told), until)

    async def refresh(
        self, registration: Registration, refresh_token: Secret, *, scopes: tuple[str, ...] = ()
    ) -> TokenResponse:
        """A new access token; `scopes` are those of the grant, sent where the program wants so."""
        speech = self.speech(registration)
        form: dict[str, str | Secret] = {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
        }
        if speech.scope_on_refresh:
            form["scope"] = speech.separator.join(speech.wanted(scopes))
        until = within(TOTAL_S)
        refusals = speech.refresh_refusals or speech.refusals
        body = await self._ask(registration, form, refusals)
        given = believed(registration, speech, body, speech.wanted(scopes))
        return await self._timed(registration, given, until)

    async def mint(self, registration: Registration, person: str | None) -> TokenResponse:
        """A token nobody signs in for: by client credentials, or by an assertion for `person`."""
        speech, until = self.speech(registration), within(TOTAL_S)
        scope = speech.separator.join(speech.mint_scopes)
        if speech.mint == "client_credentials":
            form: oauth2.Form = {"grant_type": "client_credentials", "scope": scope}
            body = await self._ask(registration, form, speech.refusals)
            given = believed(registration, speech, body, speech.mint_scopes)
            ours = Account(registration.client_id, registration.client_id)
            return await self._timed(registration, replace(given, account=ours), until)
        subject = person or filled(speech.subject, registration)
        assertion = bearer_assertion(registration, speech, subject=subject, scopes=scope)
        form = {"grant_type": JWT_BEARER, "assertion": assertion}
        body = await self._ask(registration, form, speech.refusals)
        given = believed(registration, speech, body, speech.mint_scopes)
        told = await self._told(registration, body, given, until)
        return self.owned(registration, given, told)

    async def revoke(self, registration: Registration, token: Secret) -> None:
        speech = self.speech(registration)
        if not speech.revoke:
            return
        answer = await self._post(registration, speech.revoke, {"token": token})
        answers.revoked(answer, speech.refusals, sent(registration, token))

    async def introspect(
        self, registration: Registration, access_token: Secret, base_url: str
    ) -> Introspection:
        """By RFC 7662 where the program has it, else by whether it still takes the token."""
        speech = self.speech(registration)
        if speech.introspect:
            form: oauth2.Form = {"token": access_token, "token_type_hint": "access_token"}
            answer = await self._post(registration, speech.introspect, form, base_url)
            return answers.introspected(answer, speech.refusals, sent(registration, access_token))
        tellers = (self._whose(registration), *speech.probes)
        if (url := next((one.url for one in tellers if one and one.url), None)) is None:
            raise Unclassified("nothing-to-ask", "nothing there tells whether a token is alive")
        answer = await self._get(registration, url, access_token, base_url)
        return Introspection(answers.accepted(answer) or answer.status != 401, None)

    async def test(self, registration: Registration) -> Report:
        """Redeem a code that was never given, mint where nobody signs in: whatever applies.

        Programs look at the client before they look at the code°: who is told that the code is
        wrong is known there.
        """
        method = self._definition.method_of(registration.integration)
        found = list[Finding]()
        if Source.REFRESH in (method.people, method.connector_user):
            found.append(await self._redeemed(registration))
        if method.connector_user is Source.MINTED:
            given = await self.mint(registration, None)
            found.append(Finding("ok", f"{self._definition.title} gives an access token."))
            checked = await self.check(registration, given.access_token, given.base_url or "")
            found += checked.findings
        return Report(tuple(found))

    async def check(
        self, registration: Registration, access_token: Secret, base_url: str
    ) -> Report:
        """The saved identity: who it is, and whether the API answers what the Speech probes."""
        who, found = self._whose(registration), list[Finding]()
        if who and who.url:
            answer = await self._get(registration, who.url, access_token, base_url)
            told = answers.told(answer, access_token)
            if told is None:
                text = f"{self._definition.title} does not accept the access token."
                return Report((Finding("failure", text),))
            found.append(Finding("ok", f"Connected as {who.account(told).display}."))
        for probe in self.speech(registration).probes:
            found.append(await self._probed(registration, probe, access_token, base_url))
        return Report(tuple(found))

    async def _redeemed(self, registration: Registration) -> Finding:
        nothing, verifier = Secret("test-of-the-connector"), Pkce.new().verifier
        form = oauth2.redeeming(nothing, registration.redirect_uri, verifier)
        try:
            await self._ask(registration, form, self.speech(registration).refusals)
        except GrantDead:
            return Finding("ok", f"{self._definition.title} knows this client and its secret.")
        raise ClientMisconfigured("test-refused", "the host redeemed a code that does not exist")

    async def _probed(
        self, registration: Registration, probe: Probe, token: Secret, base_url: str
    ) -> Finding:
        answer = await self._get(registration, probe.url, token, base_url)
        if answers.accepted(answer):
            return Finding("ok", probe.ok)
        return Finding("failure", probe.failure)

    async def _told(
        self,
        registration: Registration,
        body: Mapping[str, object],
        given: TokenResponse,
        until: float,
    ) -> Mapping[str, object]:
        """What the program says of whose the tokens are; NotProven where it does not."""
        who = self.speech(registration).who
        if who is None or not who.url:
            return body
        base_url, total_s = given.base_url or "", max(left(until), FEWEST_S)
        answer = await self._get(registration, who.url, given.access_token, base_url, total_s)
        if (told := answers.told(answer, given.access_token)) is None:
            raise NotProven("identity", "the program does not say whose account this is")
        return told

    async def _timed(
        self, registration: Registration, given: TokenResponse, until: float
    ) -> TokenResponse:
        """The same answer with the life the program's introspection knows.

        Only a courtesy: whatever goes wrong here, the tokens are good and must not be lost. An
        inactive answer for a token of this second means that this client may not introspect.
        """
        known = given.expires_in_s is not None or not self.speech(registration).introspect
        if known or left(until) < FEWEST_S:
            return given
        try:
            async with asyncio.timeout(left(until)):
                alive = await self.introspect(
                    registration, given.access_token, given.base_url or ""
                )
        except (ProviderError, TimeoutError):
            return given
        return replace(given, expires_in_s=alive.expires_in_s) if alive.active else given

    def _whose(self, registration: Registration) -> Who | None:
        """Where to ask about the connector user; an app that acts for itself is no user there."""
        speech = self.speech(registration)
        method = self._definition.method_of(registration.integration)
        minted = method.connector_user is Source.MINTED
        return None if minted and speech.mint == "client_credentials" else speech.who

    async def _get(
        self,
        registration: Registration,
        url: str,
        token: Secret,
        base_url: str,
        total_s: float = TOTAL_S,
    ) -> Answer:
        """What an address says to whoever holds the token."""
        at = filled(url, registration, base_url=self._own(registration, base_url))
        egress = self._egress.via(registration.relay)
        speech = self.speech(registration)
        bearer = f"{speech.scheme} {token.reveal()}"
        headers = {"Authorization": bearer, "Accept": speech.accept}
        return await egress.get(at, headers=headers, total_s=total_s, limit=LARGEST)

    def _own(self, registration: Registration, base_url: str) -> str:
        """A base URL at a host of the program's, or the one its Speech has (safety 19)."""
        own = self.api(registration)
        if base_url in ("", own) or origin_of_url(base_url) == registration.origin:
            return base_url
        return registration.environment.trusted(base_url)

    async def _ask(
        self, registration: Registration, form: oauth2.Form, refusals: oauth2.Dialect
    ) -> Mapping[str, object]:
        """A good answer of the token endpoint, else its class of failure."""
        answer = await self._post(registration, self.speech(registration).token, form)
        return oauth2.sort(answer, refusals, sent(registration, *oauth2.secrets_of(form)))

    async def _post(
        self, registration: Registration, url: str, form: oauth2.Form, base_url: str = ""
    ) -> Answer:
        """A form, with the client's proof of who it is."""
        said, headers = introduced(registration, self.speech(registration), form)
        egress = self._egress.via(registration.relay)
        at = filled(url, registration, base_url=self._own(registration, base_url))
        return await oauth2.send(egress, at, said, headers=headers)
