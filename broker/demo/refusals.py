"""How pretend authorization servers say no."""

from collections.abc import Mapping


class Refused(Exception):
    """A request a program answers with an OAuth error."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error, description)
        self.error, self.description, self.status = error, description, status

    def body(self) -> dict[str, str]:
        return {"error": self.error, "error_description": self.description}


Words = Mapping[str, tuple[str, str, int]]

WORDS: Words = {
    "app": ("invalid_client", "unknown client", 401),
    "secret": ("invalid_client", "client authentication failed", 401),
    "redirect": ("invalid_request", "redirect_uri is not registered", 400),
    "code": ("invalid_grant", "the code is not valid", 400),
    "late code": ("invalid_grant", "the code has expired", 400),
    "other redirect": ("invalid_grant", "redirect_uri is not that of the code", 400),
    "verifier": ("invalid_grant", "code_verifier does not fit code_challenge", 400),
    "grant": ("invalid_grant", "the refresh token is not valid", 400),
    "user": ("invalid_grant", "the user is not active", 400),
    "grant type": ("unsupported_grant_type", "this grant type is not supported", 400),
    "response type": ("unsupported_response_type", "response_type must be code", 400),
    "challenge": ("invalid_request", "code_challenge by S256 is needed", 400),
    "denied": ("access_denied", "the user denied the request", 400),
}
"""What is said where something is wrong (RFC 6749 §4.1.2.1 and §5.2): error, words, status."""
