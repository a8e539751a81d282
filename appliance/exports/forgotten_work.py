"""The work of a forgotten PC: for how long it is kept, and when people are told of its end. PURE."""

from dataclasses import dataclass

from services.ethernet import MacAddress

DAYS = 7
"""For how long work is kept."""
SOON = 2 * 86400.0
"""Seconds before it is deleted from which people are told."""


@dataclass(frozen=True, slots=True, order=True)
class ForgottenWork:
    """Work of a PC that was set aside at `at`, in seconds since the epoch."""

    at: int
    mac: MacAddress

    @property
    def until(self) -> int:
        """When it may be deleted."""
        return self.at + DAYS * 86400
