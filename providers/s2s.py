"""Tokens for SharePoint Server by high trust: made here, believed for a certificate's sake (S2S).

The shape is Microsoft's: "Create and use access tokens in provider-hosted high-trust SharePoint
Add-ins" and its protocol [MS-SPS2SAUTH]. The numbers are texts there, and here.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

import orjson

from providers.jwt import SigningKey
from providers.secret import Secret

SHAREPOINT = "00000003-0000-0ff1-ce00-000000000000"
ACTIVE_DIRECTORY = "urn:office:idp:activedirectory"
LIFETIME_S = 5 * 60  # ours to choose: Microsoft's sample takes 12 h; nobody takes this one back
EARLY_S = 60  # a farm whose clock is behind ours by less than this believes it at once

_REALM = re.compile(r'\bBearer\b.*?\brealm="?([0-9a-fA-F-]{36})\b', re.I)


@dataclass(frozen=True, slots=True)
class Trust:
    """What a farm was told of us: the app, who vouches for it, and the key of the certificate.

    `issuer` is what New-SPTrustedSecurityTokenIssuer registered, `realm` the farm's, `host` the
    name (and port, where there is one) by which the farm is called.
    """

    app: str
    issuer: str
    realm: str
    host: str
    key: SigningKey

    def for_app(self, now_s: int) -> Secret:
        """The token of the app alone: signed, and good for `LIFETIME_S`."""
        return Secret(self.key.sign(self._claims(self.issuer, now_s) | {"nameid": self._app}))

    def for_person(self, sid: str, now_s: int) -> Secret:
        """The token of the person with that security identifier of Active Directory.

        The outer token is not signed (`alg` none): the actor token in it, which is, says that our
        word is taken for whom it names.
        """
        actor = self._claims(self.issuer, now_s)
        actor |= {"nameid": self._app, "trustedfordelegation": "true"}
        outer = self._claims(self.app, now_s)
        outer |= {
            "nameid": sid.lower(),
            "nii": ACTIVE_DIRECTORY,
            "actortoken": self.key.sign(actor),
        }
        return Secret(f"{_part({'typ': 'JWT', 'alg': 'none'})}.{_part(outer)}.")

    @property
    def _app(self) -> str:
        return f"{self.app}@{self.realm}".lower()

    def _claims(self, issuer: str, now_s: int) -> dict[str, str]:
        """What both tokens say; an issuer's letters are small ones."""
        return {
            "aud": f"{SHAREPOINT}/{self.host}@{self.realm.lower()}",
            "iss": f"{issuer}@{self.realm}".lower(),
            "nbf": str(now_s - EARLY_S),
            "exp": str(now_s + LIFETIME_S),
        }


def realm_of(challenge: str) -> str | None:
    """The farm's realm out of the WWW-Authenticate of a 401, None where it shows none."""
    found = _REALM.search(challenge)
    return found[1].lower() if found else None


def _part(document: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(document)).rstrip(b"=").decode()
