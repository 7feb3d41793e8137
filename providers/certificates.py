"""What is wrong with a host's certificate, in words an administrator can act on."""

import ssl

FLAWS = {
    9: "it is not valid yet",
    10: "it has expired",
    18: "the host signed it itself",
    19: "nobody this machine knows signed it",
    20: "nobody this machine knows signed it, or the host leaves out the certificates between",
    23: "it was revoked",
    62: "it is for another name",
    64: "it is for another address",
}
"""By the verdicts of OpenSSL (x509_vfy.h) that somebody can do something about."""


def flaw_of(error: BaseException) -> str | None:
    """What OpenSSL found at the bottom of a failed call; None where no certificate is to blame."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    return None if cause is None else FLAWS.get(cause.verify_code, "this machine does not trust it")
