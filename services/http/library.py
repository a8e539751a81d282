"""aiohttp's server half, without what its client half does when it is loaded.

The package loads both, and the client reads every certificate of the system then, which takes longer than the rest of
it. Nobody here is a client: OpenSSL is told of an empty file of certificates for that moment.
"""

import os

_FILE = "SSL_CERT_FILE"  # openssl-env(7ssl)

_before = os.environ.get(_FILE)
os.environ[_FILE] = os.devnull
try:
    from aiohttp import web
finally:
    if _before is None:
        del os.environ[_FILE]
    else:
        os.environ[_FILE] = _before

__all__ = ["web"]
