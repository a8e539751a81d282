"""What an SQLite error means: a message for people, and whether to try again."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.errors import UserError

SqlError = sqlite3.Error
"""What a statement raises, so that other folders need not import sqlite3."""

FAILED = (sqlite3.Error, UnicodeDecodeError)
"""What opening a damaged file raises: SQLite's own messages quote the file, and must be UTF-8 like its text."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_NOT_TEXT = "Could not decode to UTF-8"
"""How the module says that text is not UTF-8. The rest of its message quotes the text, which may be a password."""

INVALID_ROWS = (ValueError, TypeError, LookupError, AttributeError, OverflowError, ArithmeticError, RecursionError)
"""Raised when reading rows that netboot-appliance did not write."""


@contextmanager
def reading(path: Path, table: str) -> Iterator[None]:
    """Rows of a table become values in this block; raises UserError if they cannot, and sqlite3.Error if the database
    as a whole cannot be read."""
    try:
        yield
    except sqlite3.Error as error:
        if not str(error).startswith(_NOT_TEXT):
            raise
        raise explain(path, error) from error
    except INVALID_ROWS as error:
        raise damaged(path, f"a row of its table {table!r} cannot be read") from error


class RegistryError(UserError):
    """The registry cannot be used, whatever was asked for."""


def explain(path: Path, error: Exception) -> UserError:
    """Put an error of SQLite or the system into words for people."""
    if isinstance(error, UnicodeDecodeError) or str(error).startswith(_NOT_TEXT):
        return damaged(path, "some of its text is not UTF-8")
    if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF in _DAMAGED:
        return damaged(path, str(error))
    if is_locked(error):
        return RegistryError(
            f"the registry {path} is locked: another program keeps writing to it",
            f"try again; see which program: fuser -v {path}",
            code=1,
        )
    return RegistryError(
        f"cannot use the registry {path}: {error}",
        f"run with sudo; check whether the disk is full (df {path.parent}) and who may write there",
        code=1,
    )


def is_locked(error: BaseException) -> bool:
    """Whether an SQLite error means that another process is writing."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF == sqlite3.SQLITE_BUSY


def is_interrupted(error: BaseException | None) -> bool:
    """Whether a progress handler ended the statement."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF == sqlite3.SQLITE_INTERRUPT


def is_of_the_disk(error: BaseException | None) -> bool:
    """Whether an SQLite error comes from the file or the disk, and not from one of our statements."""
    code = getattr(error, "sqlite_errorcode", None) if isinstance(error, sqlite3.Error) else None
    return code is not None and code & 0xFF not in (
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_RANGE,
    )


def damaged(path: Path, complaint: str) -> UserError:
    return RegistryError(
        f"the registry {path} is damaged: {complaint}",
        "restore a backup: netboot-appliance restore FILE; or start with an empty one, which lets no PC boot: "
        f"mv {path} {path}.damaged (the PCs' work is stored elsewhere and stays)",
    )
