"""Files laid out as packets: shared, bounded, and never a mixture of two contents."""

import os
import random
from pathlib import Path

import pytest

from services.decision import Ignore
from services.linux.open_beneath import FileChanged, OpenFile, open_beneath
from services.tftp.content_cache import Chunk, Content, ContentCache
from services.tftp.transfer import blocks_per_chunk

CONTENT = random.Random(3).randbytes(100_000)
BLOCK = 50  # 2001 blocks, in chunks of 512


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    os.utime(path, ns=(10**18, 10**18))
    return path


def opened(path: Path) -> OpenFile:
    file = open_beneath(path.parent, (path.name,))
    assert not isinstance(file, Ignore)
    return file


def packets(cache: ContentCache, content: Content, first: int, last: int) -> bytes:
    return b"".join(cache.packets(content, BLOCK, first, last))


def expected(first: int, last: int, of: bytes = CONTENT) -> bytes:
    return b"".join(
        b"\0\3" + (block & 0xFFFF).to_bytes(2, "big") + of[(block - 1) * BLOCK : block * BLOCK]
        for block in range(first, last + 1)
    )


@pytest.mark.parametrize(("first", "last"), [(1, 1), (500, 530), (1, 2001), (2001, 2001), (1536, 1537)])
def test_lays_out_packets(path: Path, first: int, last: int) -> None:
    cache = ContentCache()
    content = cache.take(opened(path))
    assert packets(cache, content, first, last) == expected(first, last)
    cache.release(content)


def test_lays_out_bytes_without_a_file() -> None:
    cache = ContentCache()
    content = cache.take(b"script")
    assert packets(cache, content, 1, 1) == b"\0\3\0\1script"
    cache.release(content)
    assert not cache._chunks
    assert not cache._bytes


def test_one_descriptor_for_all_transfers_of_a_file(path: Path) -> None:
    cache, before = ContentCache(), descriptors()
    contents = [cache.take(opened(path)) for _ in range(10)]
    assert len(set(map(id, contents))) == 1
    assert descriptors() == before + 1
    for content in contents:
        cache.release(content)
    assert descriptors() == before


def test_a_laid_out_file_serves_the_next_transfer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ContentCache()
    monkeypatch.setattr("services.tftp.content_cache._YOUNG", 0)
    content = cache.take(opened(path))
    assert packets(cache, content, 1, 2001) == expected(1, 2001)
    cache.release(content)
    again = cache.take(opened(path))
    assert again is content
    monkeypatch.setattr(Content, "read", None)
    assert packets(cache, again, 1, 2001) == expected(1, 2001)
    cache.release(again)


def test_a_file_read_while_young_is_read_again_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ContentCache()
    content = cache.take(opened(path))
    packets(cache, content, 1, 1)
    (young,) = cache._chunks
    assert cache.chunk(content, BLOCK, 1) is young
    now = os.stat(path).st_ctime_ns + 10_000_000_000
    monkeypatch.setattr("services.tftp.content_cache.time.time_ns", lambda: now)
    old = cache.chunk(content, BLOCK, 1)
    assert old is not young
    assert cache.chunk(content, BLOCK, 1) is old
    cache.release(content)


@pytest.mark.parametrize("how", ["rewritten", "truncated", "extended", "rewritten and dated back"])
def test_a_changed_file_is_another_file(path: Path, how: str) -> None:
    cache = ContentCache()
    content = cache.take(opened(path))
    assert packets(cache, content, 1, 1) == expected(1, 1)
    new = {"truncated": CONTENT[:700], "extended": CONTENT + b"x"}.get(how, CONTENT[::-1])
    path.write_bytes(new)
    if how == "rewritten and dated back":
        os.utime(path, ns=(10**18, 10**18))
    else:
        with pytest.raises(FileChanged):
            packets(cache, content, 513, 513)
        assert packets(cache, content, 1, 512) == expected(1, 512), "what was laid out is the old content"
    fresh = cache.take(opened(path))
    assert fresh is not content
    last = fresh.size // BLOCK + 1
    assert packets(cache, fresh, 1, last) == expected(1, last, new)
    for each in (content, fresh):
        cache.release(each)


def test_a_replaced_file_keeps_its_content(path: Path) -> None:
    cache = ContentCache()
    content = cache.take(opened(path))
    path.with_name("new").write_bytes(b"new")
    path.with_name("new").replace(path)
    fresh = cache.take(opened(path))
    assert packets(cache, content, 1, 2001) == expected(1, 2001)
    assert packets(cache, fresh, 1, 1) == expected(1, 1, b"new")
    for each in (content, fresh):
        cache.release(each)


class ChunkUser:
    """A session that uses a chunk."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk: Chunk | None = chunk
        chunk.readers.add(self)

    def leave_fast_path(self) -> None:
        assert self.chunk
        self.chunk.readers.discard(self)
        self.chunk = None


def test_is_bounded_and_spares_chunks_in_use(path: Path) -> None:
    size = blocks_per_chunk(BLOCK) * (BLOCK + 4)
    cache = ContentCache(2 * size)
    content = cache.take(opened(path))
    first = cache.chunk(content, BLOCK, 1)
    user = ChunkUser(first)
    for block in (513, 1025, 1537, 513, 1025):
        cache.chunk(content, BLOCK, block)
        assert cache._bytes <= 2 * size
    assert user.chunk is first
    others = [ChunkUser(chunk) for chunk in cache._chunks if chunk is not first]
    cache.chunk(content, BLOCK, 1537)
    assert sum(each.chunk is None for each in (user, *others)) == 1, "one had to leave"
    assert packets(cache, content, 1, 2001) == expected(1, 2001), "and is served nevertheless"
    cache.release(content)


def test_the_prepared_windows_of_a_chunk_are_bounded(path: Path) -> None:
    cache = ContentCache()
    content = cache.take(opened(path))
    chunk = cache.chunk(content, BLOCK, 1)
    for window in range(1, 65):
        for first in range(1, 100):
            cache.prepare(chunk, window, first)
    assert chunk.held_bytes == cache._bytes <= 512 * (BLOCK + 4) + 4 * 512 * 260
    cache.release(content)


def test_prepared_windows_lead_through_a_chunk_to_its_end(path: Path) -> None:
    cache = ContentCache()
    content = cache.take(opened(path))
    for first, blocks in ((1, 512), (513, 512), (1537, 464)):
        chunk = cache.chunk(content, BLOCK, first)
        for window in (1, 3, 64):
            prepared = cache.prepare(chunk, window, first)
            count = 0
            while prepared and prepared[0]:
                assert prepared[0] == b"\0\4" + (first + count * window - 1).to_bytes(2, "big")
                assert prepared[3] == first - 1 + (count - 1) * window
                prepared, count = prepared[2], count + 1
            assert count == blocks // window
    cache.release(content)
