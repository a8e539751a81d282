"""The fake project's only application and its jobs, as a scheduler's reply describes them."""

import hashlib
import time
from pathlib import Path

from tests.fakes.boinc_signing import SigningKey

PLATFORM = "x86_64-pc-linux-gnu"
APPLICATION = "boinc_application.sh"
ATTACKS = "boinc_attacks.py"
FLOPS = 1e9
DEADLINE = 7 * 86400


class Work:
    """Jobs that take `seconds` each. `attacked`: the arguments of boinc_attacks.py, which then runs in each host's
    first job."""

    def __init__(self, url: str, key: SigningKey, seconds: int, attacked: tuple[str, ...]) -> None:
        self.seconds = seconds
        self.files = {name: Path(__file__).with_name(name).read_bytes() for name in (APPLICATION, ATTACKS)}
        self._url = url
        self._key = key
        self._attacked = attacked

    def application_xml(self) -> str:
        """The application, its version and its files: with each reply that has jobs."""
        return (
            "<app><name>count</name><user_friendly_name>Counting seconds</user_friendly_name></app>\n"
            f"{''.join(self._file_xml(name, content) for name, content in self.files.items())}"
            f"<app_version>\n<app_name>count</app_name>\n<version_num>100</version_num>\n<platform>{PLATFORM}</platform>\n"
            f"<api_version>7.20.0</api_version>\n<avg_ncpus>1</avg_ncpus>\n<flops>{FLOPS}</flops>\n<file_ref>\n"
            f"<file_name>{APPLICATION}</file_name>\n<main_program/>\n<copy_file/>\n</file_ref>\n"
            f"<file_ref>\n<file_name>{ATTACKS}</file_name>\n<copy_file/>\n</file_ref>\n</app_version>\n"
        )

    def job_xml(self, name: str) -> str:
        """One job: its workunit, its output file, and its result."""
        operations = FLOPS * self.seconds
        arguments = (str(self.seconds), *(self._attacked if name.endswith("_1") else ()))
        return (
            f"<workunit>\n<name>wu_{name}</name>\n<app_name>count</app_name>\n"
            f"<rsc_fpops_est>{operations}</rsc_fpops_est>\n<rsc_fpops_bound>{operations * 1000}</rsc_fpops_bound>\n"
            f"<rsc_memory_bound>50000000</rsc_memory_bound>\n<rsc_disk_bound>50000000</rsc_disk_bound>\n"
            f"<command_line>{' '.join(arguments)}</command_line>\n</workunit>\n"
            f"<file_info>\n<name>{name}_output</name>\n<generated_locally/>\n<upload_when_present/>\n"
            f"<max_nbytes>10000</max_nbytes>\n<url>{self._url}file_upload_handler</url>\n</file_info>\n"
            f"<result>\n<name>{name}</name>\n<wu_name>wu_{name}</wu_name>\n<platform>{PLATFORM}</platform>\n"
            f"<version_num>100</version_num>\n<report_deadline>{int(time.time()) + DEADLINE}</report_deadline>\n"
            f"<file_ref>\n<file_name>{name}_output</file_name>\n<open_name>output</open_name>\n<copy_file/>\n</file_ref>\n"
            "</result>\n"
        )

    def _file_xml(self, name: str, content: bytes) -> str:
        return (
            f"<file_info>\n<name>{name}</name>\n<url>{self._url}download/{name}</url>\n<executable/>\n"
            f"<file_signature>\n{self._key.sign(content)}</file_signature>\n<nbytes>{len(content)}</nbytes>\n"
            f"<md5_cksum>{hashlib.md5(content).hexdigest()}</md5_cksum>\n</file_info>\n"
        )
