"""What a server's certificate has to be for us, where we are the client."""

import ssl


def client_context(authorities: str = "") -> ssl.SSLContext:
    """TLS that trusts the system's authorities, and these (PEM). Raises ssl.SSLError if they cannot be read.

    Python 3.13 began to refuse certificates that RFC 5280 finds incomplete (VERIFY_X509_STRICT), such as those that an
    office's own authority made without an authority key identifier. BOINC on the PCs and mail programs accept them.
    """
    context = ssl.create_default_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if authorities:
        context.load_verify_locations(cadata=authorities)
    return context
