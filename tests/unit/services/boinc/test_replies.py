"""The fields of GUI RPC replies, from bytes that are cut, broken or hostile."""

import time

import pytest

from services.boinc.replies import MOST_BYTES, read_items

TASK = b"<results><result><name>a</name><state>2</state><active_task><slot>0</slot></active_task></result></results>"


def read(xml: bytes) -> list[tuple[str, dict[str, str]]]:
    return list(read_items(b"<boinc_gui_rpc_reply>" + xml + b"</boinc_gui_rpc_reply>"))


def message(body: bytes) -> str:
    ((_, fields),) = read(b"<msgs><msg><body>" + body + b"</body><time>1</time></msg></msgs>")
    assert fields["time"] == "1"
    return fields["body"]


def test_items_and_their_fields() -> None:
    assert read(b"<cc_status><task_mode>2</task_mode></cc_status>") == [("cc_status", {"task_mode": "2"})]
    assert read(TASK) == [("result", {"name": "a", "state": "2", "active_task/slot": "0"})]


def test_an_empty_element_is_a_mark() -> None:
    xml = b"<projects><project><master_url>u</master_url><suspended_via_gui/></project></projects>"
    assert read(xml) == [("project", {"master_url": "u", "suspended_via_gui": "1"})]


def test_the_project_of_a_message_is_no_project() -> None:
    assert read(b"<msgs><msg><project>P</project></msg></msgs>") == [("msg", {"project": "P"})]


def test_of_two_fields_with_one_name_the_first_counts() -> None:
    assert read(b"<results><result><name>a</name><name>b</name></result></results>") == [("result", {"name": "a"})]


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (b"plain", "plain"),
        (b"\n two\n lines \n", "two\n lines"),
        (b"<![CDATA[\na message\n]]>", "a message"),
        (b'see <a href="http://x/">the page</a>', "see the page"),
        (b"1 &lt; 2 &amp; 3", "1 < 2 & 3"),
        (b"&#195;&#169;t&#195;&#169;", "été"),
        ("été".encode(), "été"),
        ("été".encode("latin-1"), "été"),
        (b"&#9786;", "☺"),
        (b"&#9999999;", ""),
        (b"&unknown; &#x41;", "&unknown; &#x41;"),
        (b"\xff\xfe", "ÿþ"),
        (b"<name>inside</name>", "inside"),
    ],
)
def test_the_text_of_a_message(raw: bytes, read: str) -> None:
    assert message(raw) == read


@pytest.mark.parametrize("end", range(len(TASK)))
def test_a_reply_that_was_cut_gives_what_is_whole(end: int) -> None:
    whole = {"name": "a", "state": "2", "active_task/slot": "0"}
    for _, fields in read_items(b"<boinc_gui_rpc_reply>" + TASK[:end] + b"<boinc_gui_rpc_reply>" + TASK):
        assert fields.items() <= whole.items()
    assert fields == whole, "the next reply is read"


@pytest.mark.parametrize(
    "xml",
    [
        b'<!DOCTYPE a [<!ENTITY e "boom"><!ENTITY f "&e;&e;">]><results><result><name>&f;</name></result></results>',
        b'<?xml version="1.0"?><results><result><name>&f;</name></result></results>',
    ],
)
def test_document_types_and_entities_mean_nothing(xml: bytes) -> None:
    assert read(xml) == [("result", {"name": "&f;"})]


@pytest.mark.parametrize(
    "xml",
    [
        b"<" * MOST_BYTES,
        b"&" * MOST_BYTES,
        b"<a>" * (MOST_BYTES // 3),
        b"</a>" * (MOST_BYTES // 4),
        b"<results>" + b"<result>" * 8000,
        b"<results><result>" + b"<a>" * 10_000 + b"</a>" * 10_000,
        b"<results><result><name>" + b"&#1" * 20_000 + b"</name>",
        b"<results>" + b"<result><name>x</name></result>" * 4000,
        b"<results><result>" + b"".join(b"<f%d>1</f%d>" % (n, n) for n in range(9000)),
        b"<msgs><msg><body>" * 4000,
        b"<boinc_gui_rpc_reply><cc_status>" * 2000,
        b"<a" + b" " * MOST_BYTES,
        bytes(range(256)) * 256,
    ],
)
def test_hostile_bytes_cost_little_and_raise_nothing(xml: bytes) -> None:
    began = time.process_time()
    found = read(xml)
    assert time.process_time() - began < 2.0, "seconds of the processor; 0.03 where nothing else runs"
    assert len(found) <= 513
    assert all(len(fields) <= 100 and len(value) <= 1000 for _, fields in found for value in fields.values())


def test_what_is_behind_the_limit_is_not_read() -> None:
    assert read(b" " * MOST_BYTES + TASK) == []
