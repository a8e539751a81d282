"""Prints the configuration file of the package: that of `config init`, with every setting as a comment.

With it the program finds the interface and serves nobody. It says nothing about the machine that it is printed on.
"""

import re

from appliance.cli.config_template import TEMPLATE

# What `config init` says about this machine, and what a file for all machines says instead.
_ELSEWHERE = {
    "Found here: {interface} with {address}.": "Without this line: the only one, or the one with the default route.",
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
