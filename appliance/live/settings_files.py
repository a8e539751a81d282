"""The settings of [live] as files of the live system: keyboard, proxy, certificates, SSH. PURE.

Time zone and host name are not among them: the kernel command line has these, so that they are right from the first
program on.
"""

from collections.abc import Callable
from urllib.parse import quote

from appliance.config.live import LiveChoices
from appliance.live.archive import HOOKS, RootFile
from services.boinc.files import Proxy
from services.ssh.host_key import HostKey

CA_FILE = "usr/local/share/ca-certificates/netboot-appliance.crt"
"""The initramfs adds it to Debian's certificates (image/tree, fetch-live)."""

_LOAD_KEYBOARD = b"""\
#!/bin/sh
if ! command -v setupcon > /dev/null; then
\techo 'the keyboard is as it was: the image has no console-setup; name it in [image] packages'
\texit 1
fi
setupcon --keyboard-only --force
"""


def settings_files(chosen: LiveChoices, host_key: Callable[[], HostKey]) -> dict[str, RootFile]:
    """The files by their paths; empty if nothing is set. `host_key` makes the PC's key for SSH."""
    files: dict[str, RootFile] = {}
    if chosen.keyboard:
        files["etc/default/keyboard"] = RootFile(_keyboard(chosen.keyboard).encode())
        files[f"{HOOKS}/00-keyboard"] = RootFile(_LOAD_KEYBOARD, 0o755)
    if (proxy := chosen.web_proxy) is not None:
        # Read by root alone: for hooks by systemd, for logins by PAM. It may have a password.
        files["etc/environment"] = RootFile(_environment(proxy).encode(), 0o600)
    if chosen.ca_file:
        files[CA_FILE] = RootFile(chosen.ca_file.pem.encode())
    if chosen.ssh_keys:
        keys = "".join(f"{key}\n" for key in chosen.ssh_keys)
        files["etc/ssh/netboot_authorized_keys"] = RootFile(keys.encode(), 0o600)
        files["etc/ssh/netboot_host_key"] = RootFile(host_key().private.encode(), 0o600)
        files["etc/systemd/system/multi-user.target.wants/ssh.service"] = RootFile(
            link="/usr/lib/systemd/system/ssh.service"
        )
        # Else PAM tells root at each login that the system is booting up.
        files["etc/tmpfiles.d/systemd-nologin.conf"] = RootFile(link="/dev/null")
    return files


def _keyboard(text: str) -> str:
    """keyboard(5)."""
    layout, _, variant = text.partition("/")
    return f'XKBMODEL="pc105"\nXKBLAYOUT="{layout}"\nXKBVARIANT="{variant}"\nXKBOPTIONS=""\nBACKSPACE="guess"\n'


def _environment(proxy: Proxy) -> str:
    user = quote(proxy.user, safe="") + (f":{quote(proxy.password, safe='')}" if proxy.password else "")
    url = f"http://{user}{'@' if user else ''}{proxy.host}:{proxy.port}"
    hosts = ",".join(("localhost", "127.0.0.1", *proxy.exceptions))
    return "".join(
        f'{name}="{value}"\n' for name, value in (("http_proxy", url), ("https_proxy", url), ("no_proxy", hosts))
    )
