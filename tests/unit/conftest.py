"""What all unit tests may use."""

from tests.unit.ownership import owners

__all__ = ["owners"]
