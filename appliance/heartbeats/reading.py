"""What BOINC said in a heartbeat, made what the registry keeps of it. PURE."""

from services.boinc.condition import Condition, follow, from_json, read, to_json


def condition(before: str, answers: bytes, at: float) -> str:
    """BOINC's condition as JSON, from its answers of the time `at`; `before` is what was kept of the heartbeat before
    in the same boot, or `{}`. What was kept and cannot be read is left out."""
    try:
        known = from_json(before)
    except ValueError:
        known = Condition()
    return to_json(follow(known, read(answers), at))
