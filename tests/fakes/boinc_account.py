"""The account's pages on the fake project's web site: the preferences that its owner has set there.

The scheduler sends the preferences for all projects when they are newer than what the client has
(handle_global_prefs() of the real one), and those for this project with each reply.
"""

import re
from pathlib import Path

from tests.fakes.boinc_xml import element, number

PROJECT_PREFERENCES = """\
<project_preferences>
<resource_share>100</resource_share>
<project_specific>
<graphics frame_rate="10"/>
</project_specific>
</project_preferences>
"""


class WebPreferences:
    """The preferences for all projects: the elements in a file, which may change; the time of that is theirs."""

    def __init__(self, file: Path | None) -> None:
        self._file = file

    def to_send(self, request: str) -> str:
        """The preferences as a reply has them; empty if the client has them already, or there are none."""
        if self._file is None:
            return ""
        changed = int(self._file.stat().st_mtime)
        if changed <= max(_known_times(request)):
            return ""
        return f"<global_preferences>\n<mod_time>{changed}</mod_time>\n{self._file.read_text()}</global_preferences>\n"


def _known_times(request: str) -> tuple[float, float]:
    """When the preferences that the client has from the web, and those that it works with, were changed."""
    working = element(request, "working_global_preferences")
    own = re.sub(r"<working_global_preferences>.*?</working_global_preferences>", "", request, flags=re.DOTALL)
    return number(element(own, "global_preferences"), "mod_time"), number(working, "mod_time")
