"""The password, the sessions and the tokens of the page and its API, in the registry. Secrets are kept as hashes.

Sessions and tokens are long and random, so that a fast hash protects them; the password is not, and gets scrypt.
"""

import hashlib
import hmac
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass

from appliance.config import menu_password
from appliance.config.menu_password import Scrypt
from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.registry.rows import moment, text
from appliance.registry.sql_errors import SqlError

IDLE = 12 * 3600.0
"""Seconds without a request after which a session ends."""
LONGEST = 30 * 86400.0
"""Seconds after which it ends in any case."""
_PROLONG = 300.0  # seconds by which a session is not worth being prolonged
_PATIENCE = 0.5  # seconds to wait for another program that writes
MOST_SESSIONS = 200
MOST_TOKENS = 100
SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 256
TOKEN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PREFIX = "nba_"
# Letters that nobody takes for another: no 0, O, 1, l, I.
_LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@dataclass(frozen=True)
class Token:
    """A token of the API; `added` in seconds since the epoch."""

    name: str
    read_only: bool
    added: float


def random_password() -> str:
    """A password for the first login: 93 bits, typed without doubt."""
    return "".join(secrets.choice(_LETTERS) for _ in range(16))


def check_password(password: str) -> str:
    """Return `password` if it may be one; raises UserError."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD or not password.isprintable():
        raise UserError(
            f"a password must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters, on one line",
            "the old password, if there is one, still counts",
        )
    return password


def set_password(registry: Registry, password: str, *, only_first: bool = False) -> bool:
    """Set it, and end all sessions. `only_first`: False, and nothing done, if there is one."""
    hashed = menu_password.scrypt(check_password(password))
    with registry.transaction():
        if only_first and password_of(registry) is not None:
            return False
        registry.sql.execute("INSERT OR REPLACE INTO control VALUES ('password', ?)", (hashed,))
        registry.sql.execute("DELETE FROM sessions")
    return True


def password_of(registry: Registry) -> Scrypt | None:
    """The hash of the password, or None if none was ever set."""
    with registry.reading("control"):
        row = registry.sql.execute("SELECT value FROM control WHERE key = 'password'").fetchone()
        return menu_password.parse(text(row[0])) if row else None


def begin_session(registry: Registry, now: float) -> str:
    """A new session; returns its secret, for the cookie."""
    secret = secrets.token_urlsafe(32)
    with registry.transaction():
        # Those that a clock far ahead began are over too, and must not take the place of others.
        registry.sql.execute("DELETE FROM sessions WHERE ends <= ? OR began > ?", (now, now + LONGEST))
        registry.sql.execute(
            "DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions ORDER BY ends DESC LIMIT -1 OFFSET ?)",
            (MOST_SESSIONS - 1,),
        )
        registry.sql.execute("INSERT INTO sessions VALUES (?, ?, ?)", (_hash(secret), now, now + IDLE))
    return secret


def has_session(registry: Registry, secret: str, now: float) -> bool:
    """Whether this is the secret of a session; prolongs it."""
    hashed = _hash(secret)
    with registry.reading("sessions"):
        row = registry.sql.execute("SELECT began, ends FROM sessions WHERE hash = ?", (hashed,)).fetchone()
        if row is None:
            return False
        began, ends = map(moment, row)
    # A clock that was set back must not lengthen it.
    if not began <= now + LONGEST or now >= min(ends, began + LONGEST):
        return False
    if now + IDLE - ends > _PROLONG:
        # On a full disk, or while another program writes for long, looking must go on. The next request tries again.
        with suppress(SqlError):
            registry.wait_for_locks(_PATIENCE)
            registry.sql.execute("UPDATE sessions SET ends = ? WHERE hash = ?", (now + IDLE, hashed))
    return True


def end_session(registry: Registry, secret: str) -> None:
    """Log out."""
    registry.sql.execute("DELETE FROM sessions WHERE hash = ?", (_hash(secret),))


def form_secret(secret: str) -> str:
    """What forms of a session must bring along (against cross-site requests): another page cannot know it."""
    return hmac.new(secret.encode(), b"form", hashlib.sha256).hexdigest()


def add_token(registry: Registry, name: str, *, read_only: bool, now: float) -> str:
    """Make a token; returns its secret, which nobody can see again. Raises UserError."""
    if not TOKEN_NAME.fullmatch(name):
        raise UserError(f"{name!r} is not a name for a token", "letters, digits and ._- after a letter or a digit")
    secret = _PREFIX + secrets.token_urlsafe(32)
    with registry.transaction():
        if any(each.name == name for each in tokens(registry)):
            raise UserError(f"there is a token {name!r} already", f"netboot-appliance control token remove {name}")
        if len(tokens(registry)) >= MOST_TOKENS:
            raise UserError(f"{MOST_TOKENS} tokens are enough", "netboot-appliance control token list")
        registry.sql.execute("INSERT INTO tokens VALUES (?, ?, ?, ?)", (name, _hash(secret), int(read_only), now))
    return secret


def remove_token(registry: Registry, name: str) -> bool:
    """Forget a token; False if there is none of this name."""
    return registry.sql.execute("DELETE FROM tokens WHERE name = ?", (name,)).rowcount > 0


def tokens(registry: Registry) -> list[Token]:
    """All tokens, by name."""
    with registry.reading("tokens"):
        rows = registry.sql.execute("SELECT name, read_only, added FROM tokens ORDER BY name")
        return [Token(text(name), bool(read_only), moment(added)) for name, read_only, added in rows]


def token_of(registry: Registry, secret: str) -> Token | None:
    """The token with this secret, or None."""
    with registry.reading("tokens"):
        row = registry.sql.execute(
            "SELECT name, read_only, added FROM tokens WHERE hash = ?", (_hash(secret),)
        ).fetchone()
        return Token(text(row[0]), bool(row[1]), moment(row[2])) if row else None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
