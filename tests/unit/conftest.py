"""What all unit tests may use."""

from hypothesis import HealthCheck, settings

from tests.unit.ownership import owners

__all__ = ["owners"]

# On a busy machine an example may take any time, and so may making one.
settings.register_profile("busy machine", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")
