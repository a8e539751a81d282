"""How much of a PC BOINC uses, and when: global_prefs_override.xml. PURE.

The account has preferences on the project's website too, which the scheduler sends to every client. The override file
replaces only the elements that it has (GLOBAL_PREFS::parse_override in BOINC's lib/prefs.cpp). So ours has every
element that the client reads on a PC, set or not. Hours for single days (`day_prefs`) win over those for all days, and
an override removes none. So ours has all seven days, with the same hours.
"""

from dataclasses import dataclass, fields

_PERCENT = (1, 100)
_HOUR = (0, 24)
_BYTES = (0, 1e10)

_BOUNDS = {
    "suspend_cpu_usage": (0, 100),
    "max_ncpus_pct": _PERCENT,
    "cpu_usage_limit": _PERCENT,
    "idle_time_to_run": (0.1, 10_000),
    "suspend_if_no_recent_input": (0, 100_000),
    "ram_max_used_busy_pct": _PERCENT,
    "ram_max_used_idle_pct": _PERCENT,
    "vm_max_used_pct": _PERCENT,
    "disk_max_used_gb": (0.1, 100_000),
    "disk_max_used_pct": _PERCENT,
    "disk_min_free_gb": (0, 100_000),
    "disk_interval": (10, 86_400),
    "cpu_scheduling_period_minutes": (1, 1440),
    "work_buf_min_days": (0.01, 10),
    "work_buf_additional_days": (0, 10),
    "max_bytes_sec_down": _BYTES,
    "max_bytes_sec_up": _BYTES,
    "daily_xfer_limit_mb": _BYTES,
    "daily_xfer_period_days": (0, 366),
    "start_hour": _HOUR,
    "end_hour": _HOUR,
    "net_start_hour": _HOUR,
    "net_end_hour": _HOUR,
}
_PAIRS = (
    ("start_hour", "end_hour"),
    ("net_start_hour", "net_end_hour"),
    ("daily_xfer_limit_mb", "daily_xfer_period_days"),
)


@dataclass(frozen=True)
class Preferences:
    """The preferences that somebody set; None is not set. Names and units are BOINC's. Raises ValueError that names the
    field and what is allowed."""

    run_on_batteries: bool | None = None
    run_if_user_active: bool | None = None
    idle_time_to_run: float | None = None
    """Minutes without mouse and keyboard after which nobody uses the PC."""
    suspend_if_no_recent_input: float | None = None
    """Suspend after so many minutes without mouse and keyboard; 0: never."""
    suspend_cpu_usage: float | None = None
    """Suspend while other programs use more than this percentage of the CPU; 0: never."""
    leave_apps_in_memory: bool | None = None
    """Whether suspended tasks stay in memory; else they continue from their last checkpoint."""
    max_ncpus_pct: float | None = None
    cpu_usage_limit: float | None = None
    """Percentage of the time during which the CPUs in use compute."""
    ram_max_used_busy_pct: float | None = None
    ram_max_used_idle_pct: float | None = None
    vm_max_used_pct: float | None = None
    disk_max_used_gb: float | None = None
    disk_max_used_pct: float | None = None
    disk_min_free_gb: float | None = None
    disk_interval: float | None = None
    """Least number of seconds between two checkpoints."""
    cpu_scheduling_period_minutes: float | None = None
    """Minutes between changes from one project to another."""
    work_buf_min_days: float | None = None
    work_buf_additional_days: float | None = None
    max_bytes_sec_down: float | None = None
    max_bytes_sec_up: float | None = None
    """Bytes in a second; 0: no limit."""
    daily_xfer_limit_mb: float | None = None
    daily_xfer_period_days: int | None = None
    """At most so many megabytes in so many days; 0: no limit."""
    start_hour: float | None = None
    end_hour: float | None = None
    """Compute from the first to the second hour of the PC's clock, over midnight if that is lower; 0 and 24: always."""
    net_start_hour: float | None = None
    net_end_hour: float | None = None
    """The same for the network."""

    def __post_init__(self) -> None:
        for name, (lowest, highest) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not lowest <= value <= highest:
                raise ValueError(f"{name} is {value}: it must be from {lowest:g} to {highest:g}")
        for first, second in _PAIRS:
            start, end = getattr(self, first), getattr(self, second)
            if (start is None) != (end is None):
                raise ValueError(f"{first} and {second} belong together: set both or neither")
            if first.endswith("_hour") and start is not None and start == end:
                raise ValueError(f"{first} equals {second}: for round the clock set 0 and 24")

    def over(self, below: "Preferences") -> "Preferences":
        """What is set here, and where nothing is, what is set in `below`."""
        own = {entry.name: getattr(self, entry.name) for entry in fields(Preferences)}
        return Preferences(**{name: getattr(below, name) if value is None else value for name, value in own.items()})


STANDARD = Preferences(
    run_on_batteries=True,
    run_if_user_active=True,
    idle_time_to_run=3,
    suspend_if_no_recent_input=0,
    suspend_cpu_usage=0,
    leave_apps_in_memory=False,
    max_ncpus_pct=100,
    cpu_usage_limit=100,
    ram_max_used_busy_pct=60,
    ram_max_used_idle_pct=60,
    vm_max_used_pct=75,
    disk_max_used_gb=10,
    disk_max_used_pct=90,
    disk_min_free_gb=0.1,
    disk_interval=300,
    cpu_scheduling_period_minutes=60,
    work_buf_min_days=0.1,
    work_buf_additional_days=0.25,
    max_bytes_sec_down=0,
    max_bytes_sec_up=0,
    daily_xfer_limit_mb=0,
    daily_xfer_period_days=0,
    start_hour=0,
    end_hour=24,
    net_start_hour=0,
    net_end_hour=24,
)
"""For an idle office PC with a live system: nobody uses it, so it does not wait for idleness; its RAM also holds the
live system's changes; its state is on a share; it may be switched off at any time, so it fetches little work in
advance."""

# Nobody could mean anything else on these PCs, but a website can say it. (BOINC's own name is max_cpus; 0: no limit.)
_FIXED = (
    "<max_cpus>0</max_cpus>\n<confirm_before_connecting>0</confirm_before_connecting>\n"
    "<hangup_if_dialed>0</hangup_if_dialed>\n<dont_verify_images>0</dont_verify_images>\n"
)


def render(preferences: Preferences) -> str:
    """The text of global_prefs_override.xml; what is not set is as in STANDARD."""
    effective = preferences.over(STANDARD)
    lines = [f"<{e.name}>{number(getattr(effective, e.name))}</{e.name}>\n" for e in fields(effective)]
    hours = "".join(
        f"<{name}>{number(getattr(effective, name))}</{name}>"
        for name in ("start_hour", "end_hour", "net_start_hour", "net_end_hour")
    )
    days = [f"<day_prefs><day_of_week>{day}</day_of_week>{hours}</day_prefs>\n" for day in range(7)]
    return "<global_preferences>\n" + "".join(lines) + _FIXED + "".join(days) + "</global_preferences>\n"


def number(value: float) -> str:
    """A number as BOINC's files have it: no exponent, no zeros at the end; a bool as 0 or 1."""
    return str(int(value)) if value == int(value) else f"{value:.6f}".rstrip("0")
