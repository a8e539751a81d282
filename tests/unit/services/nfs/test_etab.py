"""The table of exports: read, and compared with what we want. The real etab: tests/server/test_exports.py."""

from hypothesis import given
from hypothesis import strategies as st

from services.nfs.etab import Changes, changes, parse

# Written by exportfs 2.6.2 for `exportfs -i -o ro,sync,all_squash,anonuid=65534,…` and two of an administrator's own.
ETAB = (
    "/srv/images\t10.0.0.7/32(ro,sync,wdelay,hide,nocrossmnt,secure,root_squash,all_squash,no_subtree_check,"
    "secure_locks,acl,no_pnfs,anonuid=65534,anongid=65534,sec=sys,ro,root_squash,all_squash)\n"
    "/srv/b\\040c\\011d\\134\\042\\043\t*.example.net(rw,sync,wdelay,no_root_squash)\n"
    "/home\tgss/krb5i(rw,sync)\n"
    "/home\t10.0.0.0/24(ro,sync)\n"
)
RO = ("ro", "sync", "all_squash", "anonuid=65534", "anongid=65534", "no_subtree_check")
RW = ("rw", "sync", "all_squash", "anonuid=731", "anongid=731", "no_subtree_check")
ROOTS = ("/srv/images", "/srv/state")


def test_reads_the_etab_of_exportfs() -> None:
    found = parse(ETAB)
    assert list(found) == [
        ("/srv/images", "10.0.0.7/32"),
        ('/srv/b c\td\\"#', "*.example.net"),
        ("/home", "gss/krb5i"),
        ("/home", "10.0.0.0/24"),
    ]
    assert found["/home", "10.0.0.0/24"] == ("ro", "sync")
    assert set(RO) <= set(found["/srv/images", "10.0.0.7/32"])


def test_reads_our_own_file() -> None:
    text = "# Written by netboot-appliance\n\n/srv/\\303\\251 10.0.0.7/32(ro,sync) 10.0.0.8/32(ro)\n"
    assert parse(text) == {("/srv/é", "10.0.0.7/32"): ("ro", "sync"), ("/srv/é", "10.0.0.8/32"): ("ro",)}


def test_skips_lines_that_are_not_exports() -> None:
    assert parse("") == {}
    assert parse("/srv\n/srv 10.0.0.7\nsrv 10.0.0.7(ro)\n\t10.0.0.7(ro)\n/srv (ro)\n(") == {}
    assert parse("/a\u00a0b\t10.0.0.7(ro)\n") == {("/a\u00a0b", "10.0.0.7"): ("ro",)}, "white space only to Unicode"


@given(st.text())
def test_takes_any_text(text: str) -> None:
    parse(text)


def test_nothing_changes_when_all_our_options_are_in_force() -> None:
    wanted = {("/srv/images", "10.0.0.7/32"): RO}
    assert changes(wanted, wanted, parse(ETAB), ROOTS) == Changes((), {})


def test_what_is_missing_or_has_other_options_is_exported() -> None:
    wanted = {
        ("/srv/images", "10.0.0.7/32"): ("ro", "sync", "anonuid=1"),
        ("/srv/images", "10.0.0.8/32"): RO,
        ("/srv/state/525400aabbcc", "10.0.0.7/32"): RW,
        ("/srv/state/525400aabbcd", "10.0.0.8/32"): RW,
    }
    assert changes(wanted, {}, parse(ETAB), ROOTS) == Changes(
        (),
        {
            ("ro", "sync", "anonuid=1"): (("/srv/images", "10.0.0.7/32"),),
            RO: (("/srv/images", "10.0.0.8/32"),),
            RW: (("/srv/state/525400aabbcc", "10.0.0.7/32"), ("/srv/state/525400aabbcd", "10.0.0.8/32")),
        },
    )


def test_only_our_own_exports_end() -> None:
    live = {
        ("/srv/images", "10.0.0.7/32"): RO,
        ("/srv/state/525400aabbcc", "10.0.0.7/32"): RW,
        ("/old/data/images", "10.0.0.7/32"): RO,
        # Not ours: exported by hand, from /etc/exports, and below the directory of a PC.
        ("/srv/images", "backup.example.net"): RO,
        ("/srv/images", "10.0.0.0/24"): RO,
        ("/srv/state", "10.0.0.9"): RO,
        ("/srv", "10.0.0.7/32"): RO,
        ("/srv/state/525400aabbcc/deep", "10.0.0.7/32"): RO,
        ("/srv/images2", "10.0.0.7/32"): RO,
    }
    before = {("/old/data/images", "10.0.0.7/32"): RO, ("/old/data/images", "10.0.0.8/32"): RO}
    assert changes({}, before, live, ROOTS).unexport == (
        ("/srv/images", "10.0.0.7/32"),
        ("/srv/state/525400aabbcc", "10.0.0.7/32"),
        ("/old/data/images", "10.0.0.7/32"),
    )
