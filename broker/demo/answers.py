"""Every error a pretend program can be told to answer with, by program and name: data.

Entra's are those of Microsoft's list of AADSTS error codes; the others' words are how clients
report them°.
"""

from collections.abc import Mapping

from broker.demo.world import Answer

CLAIMS = '{"access_token":{"capolids":{"essential":true,"values":["5f0e0d9c-71d5-4f1b"]}}}'
"""What Conditional Access demands of the next sign-in, to be sent along with it."""

# code: (status, error, words, suberror)
AADSTS: Mapping[str, tuple[int, str, str, str]] = {
    # the grant is dead
    "50173": (400, "invalid_grant", "The provided grant has expired due to it being revoked, a "
              "fresh auth token is needed.", "bad_token"),
    "700082": (400, "invalid_grant", "The refresh token has expired due to inactivity.",
               "bad_token"),
    "70008": (400, "invalid_grant", "The provided authorization code or refresh token has expired "
              "due to inactivity.", ""),
    "70043": (400, "invalid_grant", "The refresh token has expired or is invalid due to sign-in "
              "frequency checks by Conditional Access.", "token_expired"),
    "70000": (400, "invalid_grant", "The provided value for the input parameter 'refresh_token' is "
              "not valid.", "bad_token"),
    "50057": (400, "invalid_grant", "The user account is disabled.", ""),
    "50089": (400, "invalid_grant", "Authentication failed due to flow token expired.", ""),
    "54005": (400, "invalid_grant", "OAuth2 Authorization code was already redeemed, please retry "
              "with a new valid code or use an existing refresh token.", ""),
    # the person is needed
    "50076": (400, "interaction_required", "Due to a configuration change made by your "
              "administrator, or because you moved to a new location, you must use multi-factor "
              "authentication.", "basic_action"),
    "50079": (400, "interaction_required", "Due to a configuration change made by your "
              "administrator, you must enroll in multi-factor authentication.", "basic_action"),
    "50072": (400, "interaction_required", "Due to a configuration change, you must enroll in "
              "multi-factor authentication to access the resource.", "basic_action"),
    "50074": (400, "invalid_grant", "Strong Authentication is required.", "basic_action"),
    "50078": (400, "invalid_grant", "Presented multi-factor authentication has expired due to "
              "policies configured by your administrator.", "basic_action"),
    "50158": (400, "interaction_required", "External security challenge not satisfied.",
              "additional_action"),
    "53000": (400, "interaction_required", "Your device is required to be managed to access this "
              "resource.", "message_only"),
    "53003": (400, "interaction_required", "Access has been blocked by Conditional Access "
              "policies.", "message_only"),
    "65001": (400, "invalid_grant", "The user or administrator has not consented to use the "
              "application.", "consent_required"),
    "65004": (400, "access_denied", "The resource owner or authorization server denied the "
              "request: the user declined to consent.", "consent_required"),
    "50105": (400, "interaction_required", "The signed in user is not assigned to a role for the "
              "application.", "message_only"),
    # the connector is wrong
    "7000215": (401, "invalid_client", "Invalid client secret provided.", ""),
    "70002": (401, "invalid_client", "Error validating credentials.", ""),
    "7000222": (401, "invalid_client", "The provided client secret keys are expired.", ""),
    "700027": (401, "invalid_client", "Client assertion failed signature validation.", ""),
    "700016": (400, "unauthorized_client", "Application was not found in the directory.", ""),
    "700011": (400, "unauthorized_client", "Application could not be found in the resource "
               "directory.", ""),
    "70001": (400, "unauthorized_client", "The application is disabled.", ""),
    "90002": (400, "invalid_request", "Tenant was not found.", ""),
    "50194": (400, "invalid_request", "The application is not configured as a multi-tenant "
              "application.", ""),
    "50011": (400, "invalid_request", "The redirect URI specified in the request does not match "
              "the redirect URIs configured for the application.", ""),
    "500112": (400, "invalid_grant", "The reply address does not match the reply address provided "
               "when requesting the authorization code.", ""),
    "501481": (400, "invalid_grant", "The Code_Verifier does not match the code_challenge.", ""),
    "70003": (400, "unsupported_grant_type", "The app returned an unsupported grant type.", ""),
    "700054": (400, "unsupported_response_type", "The response type is not enabled for the "
               "application.", ""),
    "9002325": (400, "invalid_request", "Proof Key for Code Exchange is required.", ""),
    "1002012": (400, "invalid_scope", "The provided value for scope is not valid: an app's own "
                "ends in /.default.", ""),
    "70011": (400, "invalid_scope", "The provided value for the input parameter 'scope' is not "
              "valid.", ""),
    "28000": (400, "invalid_scope", "The scope asks for more than one resource.", ""),
    "90009": (400, "invalid_request", "Application is requesting a token for itself.", ""),
    # it is only a matter of time
    "90006": (503, "temporarily_unavailable", "The external server is not reachable, retry.", ""),
    "90012": (503, "temporarily_unavailable", "The request has timed out.", ""),
    "50087": (503, "temporarily_unavailable", "A transient error has occurred during strong "
              "authentication.", ""),
    "40010": (503, "temporarily_unavailable", "A retryable error has occurred.", ""),
    "80002": (503, "temporarily_unavailable", "The password validation request timed out.", ""),
    "50196": (400, "invalid_grant", "The server terminated an operation because it encountered a "
              "client request loop.", ""),
}  # fmt: skip
WITH_CLAIMS = frozenset({"50076", "50079", "50158", "53003"})


def aadsts(code: str) -> tuple[str, str, int]:
    """Error, words and status of one of Entra's numbers."""
    status, error, words, _ = AADSTS[code]
    return error, f"AADSTS{code}: {words}", status


def _entra(code: str) -> Answer:
    status, error, words, suberror = AADSTS[code]
    body = entra_body(error, f"AADSTS{code}: {words}")
    body |= {"suberror": suberror} if suberror else {}
    return Answer(status, body | ({"claims": CLAIMS} if code in WITH_CLAIMS else {}))


def entra_body(error: str, words: str) -> dict[str, object]:
    """An error of Entra's token endpoint, with what it tells its support."""
    number = words.removeprefix("AADSTS").partition(":")[0]
    trace = "c0ffee00-0000-4000-8000-000000000000"
    return {
        "error": error,
        "error_description": f"{words} Trace ID: {trace} Correlation ID: {trace}",
        "error_codes": [int(number)] if number.isdigit() else [],
        "timestamp": "2026-01-01 00:00:00Z",
        "trace_id": trace,
        "correlation_id": trace,
        "error_uri": f"https://login.microsoftonline.com/error?code={number}",
    }


def _graph(status: int, code: str, words: str, **headers: str) -> Answer:
    body = {"error": {"code": code, "message": words, "innerError": {"request-id": "0"}}}
    return Answer(status, body, {name.replace("_", "-"): said for name, said in headers.items()})


def _oauth(error: str, words: str = "", status: int = 400, **more: object) -> Answer:
    said = {"error": error} | ({"error_description": words} if words else {})
    return Answer(status, said | more)


def _sharepoint(status: int, code: str, words: str) -> Answer:
    return Answer(status, {"odata.error": {"code": code, "message": {"value": words}}})


SALESFORCE = {
    "expired-token": _oauth("invalid_grant", "expired access/refresh token"),
    "authentication-failure": _oauth("invalid_grant", "authentication failure"),
    "invalid_client": _oauth("invalid_client", "invalid client credentials"),
    "invalid_client_id": _oauth("invalid_client_id", "client identifier invalid"),
    "inactive_user": _oauth("inactive_user", "user is inactive"),
    "inactive_org": _oauth("inactive_org", "organization is inactive"),
    "rate_limit_exceeded": _oauth("rate_limit_exceeded", "number of login attempts exceeded"),
    "redirect_uri_mismatch": _oauth(
        "redirect_uri_mismatch", "redirect_uri must match configuration"
    ),
    "unsupported_grant_type": _oauth("unsupported_grant_type", "grant type not supported"),
    "INVALID_SESSION_ID": Answer(
        401, [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    ),
    "REQUEST_LIMIT_EXCEEDED": Answer(
        403, [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    ),
}
ENTRA = {f"AADSTS{code}": _entra(code) for code in AADSTS} | {
    "InvalidAuthenticationToken": _graph(
        401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid."
    ),
    "accessDenied": _graph(403, "accessDenied", "Access denied"),
    "itemNotFound": _graph(404, "itemNotFound", "Requested site could not be found"),
    "activityLimitReached": _graph(
        429, "activityLimitReached", "The request has been throttled", Retry_After="7"
    ),
}
SHAREPOINT = {
    "MSIS9605": _oauth("invalid_client", "MSIS9605: The client is not allowed to access."),
    "MSIS9612": _oauth("invalid_grant", "MSIS9612: The authorization code is invalid."),
    "MSIS9615": _oauth("invalid_grant", "MSIS9615: The refresh token has expired."),
    "MSIS9622": _oauth("invalid_client", "MSIS9622: Client authentication failed.", 401),
    "MSIS9699": _oauth("server_error", "MSIS9699: The server is busy.", 503),
    "interaction_required": _oauth("interaction_required", "MSIS9462: Interaction is required."),
    "access-denied": _sharepoint(
        403, "-2147024891, System.UnauthorizedAccessException", "Access denied."
    ),
    "throttled": Answer(429, {}, {"Retry-After": "7"}),
}
DOCUSIGN = {
    "invalid_grant": _oauth("invalid_grant", "expired_client_token"),
    "user_not_found": _oauth("invalid_grant", "user_not_found"),
    "no_valid_keys_or_signatures": _oauth("invalid_grant", "no_valid_keys_or_signatures"),
    "issuer_not_found": _oauth("invalid_grant", "issuer_not_found"),
    "consent_required": _oauth("consent_required"),
    "invalid_client": _oauth("invalid_client", "the integration key or secret is wrong", 401),
    "unauthorized_client": _oauth("unauthorized_client", "this grant is not enabled"),
    "temporarily_unavailable": _oauth("temporarily_unavailable", "", 503),
    "AUTHORIZATION_INVALID_TOKEN": Answer(
        401,
        {
            "errorCode": "AUTHORIZATION_INVALID_TOKEN",
            "message": "The access token provided is expired, revoked or malformed.",
        },
    ),
    "USER_LACKS_MEMBERSHIP": Answer(
        401,
        {
            "errorCode": "USER_LACKS_MEMBERSHIP",
            "message": "The UserID does not have a valid membership in this Account.",
        },
    ),
    "HOURLY_APIINVOCATION_LIMIT_EXCEEDED": Answer(
        400,
        {
            "errorCode": "HOURLY_APIINVOCATION_LIMIT_EXCEEDED",
            "message": "The maximum number of hourly API invocations has been exceeded.",
        },
    ),
}
TICKETS = {
    "invalid_grant": _oauth("invalid_grant", "the refresh token is not valid"),
    "invalid_client": _oauth("invalid_client", "client authentication failed", 401),
    "unauthorized_client": _oauth("unauthorized_client", "not for this client"),
    "interaction_required": _oauth("interaction_required", "the user has to sign in"),
    "temporarily_unavailable": _oauth("temporarily_unavailable", "later, please", 503),
    "ok-false": Answer(200, {"ok": False, "error": "token_revoked"}),
    "ok-false-busy": Answer(200, {"ok": False, "error": "ratelimited"}),
    "error-in-200": Answer(200, {"error": "bad_refresh_token", "error_description": "It is over."}),
}
