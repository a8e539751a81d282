"""Prints the configuration in the package: that of `config init` with every setting commented out.

With it the program finds the interface and serves nobody. It contains nothing about the machine it is printed on.
"""

import re

from appliance.config.template import TEMPLATE

# What `config init` says about this machine, and what a file for all machines says instead.
_ELSEWHERE = {
    "Found here: {interface} with {address}.": "By default the only one, or the one with the default route.",
    " ({network})": "",
}
_SETTING = re.compile(r"^(?=[a-z_]+ = )", re.MULTILINE)


def text() -> str:
    """The file's text; valid as it is."""
    template = TEMPLATE
    for here, elsewhere in _ELSEWHERE.items():
        if here not in template:
            raise ValueError(f"the template of config init no longer says {here!r}")
        template = template.replace(here, elsewhere)
    return _SETTING.sub("# ", template.format(interface="eth0", network="192.0.2.0/24"))


if __name__ == "__main__":
    print(text(), end="")
