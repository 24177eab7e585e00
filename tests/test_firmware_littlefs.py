"""The chip's littlefs reader finds every file that littlefs wrote, at the bytes that littlefs reads."""

from __future__ import annotations

import importlib.util
import sys
from binascii import crc32
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from littlefs import LittleFS, LittleFSError

FIRMWARE = Path(__file__).parents[1] / "firmware" / "bitwren"
BLOCK = 4096
ADDRESS = 0x100A0000  # where a Pico maps its filesystem
INLINE_LIMIT = 128  # at most cache_size bytes live in the directory's log


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bitwren_board_littlefs", FIRMWARE / "littlefs.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


littlefs = _load()


def _filesystem(blocks: int = 64, block_cycles: int = 500, **settings: int) -> LittleFS:
    shape = {"read_size": 32, "prog_size": 32, "cache_size": INLINE_LIMIT, "lookahead_size": 32} | settings
    return LittleFS(block_size=BLOCK, block_count=blocks, block_cycles=block_cycles, **shape)


def _contents(size: int, seed: int) -> bytes:
    return bytes((index * 31 + (index >> 8) * 17 + seed) & 0xFF for index in range(size))


def _gather(image: bytes, path: str) -> bytes:
    """A file's bytes, put together from its extents as a mapped chip would see them."""
    places, size = littlefs.extents(image, path.encode(), BLOCK, ADDRESS)
    offsets, addresses = list(places[::2]), list(places[1::2])
    assert offsets == sorted(set(offsets))
    assert offsets[:1] in ([], [0])
    data = b""
    for offset, address, end in zip(offsets, addresses, [*offsets[1:], size], strict=True):
        assert (offset | address) % 4 == 0, "the core reads aligned words"
        data += image[address - ADDRESS : address - ADDRESS + end - offset]
    return data


def _write(fs: LittleFS, path: str, data: bytes) -> None:
    with fs.open(path, "wb") as file:
        file.write(data)


def _assert_all_found(fs: LittleFS) -> None:
    image = bytes(fs.context.buffer)
    for folder, _, files in fs.walk("/"):
        for name in files:
            path = f"{folder.rstrip('/')}/{name}"
            with fs.open(path, "rb") as file:
                expected = file.read()
            try:
                assert _gather(image, path) == expected, path
            except littlefs.NotFound:
                assert len(expected) <= INLINE_LIMIT, path  # small files are inline, and the caller streams them


@pytest.mark.parametrize("size", [0, 1, 64, 4095, 4096, 4097, 8188, 8189, 12276, 12277, 65536, 150_001])
def test_file_of_size(size: int) -> None:
    fs = _filesystem()
    fs.mkdir("/faq")
    _write(fs, "/faq/table.bwt", _contents(size, 1))
    if size > INLINE_LIMIT:
        assert _gather(bytes(fs.context.buffer), "/faq/table.bwt") == _contents(size, 1)
    else:
        with pytest.raises(littlefs.NotFound):
            littlefs.extents(bytes(fs.context.buffer), b"/faq/table.bwt")


@pytest.mark.parametrize("path", ["/faq", "/faq/nothing", "/nothing/table.bwt", "/faq/table.bwt/deeper", "/", "", "/littlefs"])
def test_not_a_file(path: str) -> None:
    fs = _filesystem()
    fs.mkdir("/faq")
    _write(fs, "/faq/table.bwt", _contents(5000, 1))
    with pytest.raises(littlefs.NotFound):
        littlefs.extents(bytes(fs.context.buffer), path.encode())


@pytest.mark.parametrize("image", [b"", b"\xff" * 8 * BLOCK, b"\0" * 8 * BLOCK, b"no filesystem at all " * 2000])
def test_not_a_filesystem(image: bytes) -> None:
    with pytest.raises(littlefs.NotFound):
        littlefs.extents(image, b"/faq/table.bwt")


def test_other_block_size_is_refused() -> None:
    fs = LittleFS(block_size=512, block_count=256)
    _write(fs, "/table.bwt", _contents(5000, 1))
    with pytest.raises(littlefs.NotFound):
        littlefs.extents(bytes(fs.context.buffer), b"/table.bwt", BLOCK)


def test_micropythons_program_size() -> None:
    """rp2 mounts with 256-byte programming, so its commits are padded further."""
    fs = _filesystem(prog_size=256, cache_size=1024)
    fs.mkdir("/faq")
    for turn in range(20):
        _write(fs, "/faq/table.bwt", _contents(9000 + turn, turn))
        _write(fs, f"/faq/note{turn}", _contents(3000, turn))
    _assert_all_found(fs)


def test_superblock_moves_on_when_worn() -> None:
    """With few block cycles the root directory leaves blocks 0 and 1, and directories change their blocks."""
    fs = _filesystem(block_cycles=2)
    fs.mkdir("/faq")
    _write(fs, "/faq/table.bwt", _contents(20_000, 9))
    for turn in range(300):
        _write(fs, "/counter", _contents(200 + turn, turn))
        _write(fs, "/faq/encoder.bwe", _contents(300 + turn, turn))
    image = bytes(fs.context.buffer)
    assert sum(image[at + 8 : at + 16] == b"littlefs" for at in range(0, len(image), BLOCK)) > 2, "it did not move"
    _assert_all_found(fs)


def test_directory_of_many_blocks() -> None:
    fs = _filesystem(blocks=256)
    fs.mkdir("/faq")
    for index in range(110):
        _write(fs, f"/faq/{index:03d}-with-a-name-of-some-length-to-fill-the-log", _contents(140 + index, index))
    _write(fs, "/faq/table.bwt", _contents(10_000, 3))
    _assert_all_found(fs)


def test_revision_wraps_around() -> None:
    fs = _filesystem(block_cycles=-1)
    _write(fs, "/table.bwt", _contents(5000, 1))
    newest = [int.from_bytes(fs.context.buffer[block * BLOCK :][:4], "little") for block in (0, 1)]
    older, newer = (0, 1) if newest[1] > newest[0] else (1, 0)
    image = bytearray(fs.context.buffer)
    image[newer * BLOCK : newer * BLOCK + 4] = (0).to_bytes(4, "little")
    image[older * BLOCK : older * BLOCK + 4] = (0xFFFFFFFF).to_bytes(4, "little")
    # Changing the revision breaks the first commit's CRC: what is tested is which block is tried, so mend both CRCs.
    for block in (older, newer):
        _mend_first_crc(image, block)
    assert _gather(bytes(image), "/table.bwt") == _contents(5000, 1)


def _mend_first_crc(image: bytearray, block: int) -> None:
    at, previous = block * BLOCK + 4, 0xFFFFFFFF
    while True:
        tag = int.from_bytes(image[at : at + 4], "big") ^ previous
        if tag >> 20 & 0x780 == 0x500:
            crc = crc32(image[block * BLOCK : at + 4]) ^ 0xFFFFFFFF
            image[at + 4 : at + 8] = crc.to_bytes(4, "little")
            return
        previous, at = tag, at + 4 + (tag & 0x3FF)


def test_interrupted_commit_is_not_believed() -> None:
    """A last commit with a wrong CRC leaves the file as the commits before it say."""
    fs = _filesystem()
    _write(fs, "/table.bwt", _contents(5000, 1))
    before = bytes(fs.context.buffer)
    _write(fs, "/table.bwt", _contents(6000, 2))
    after = bytearray(fs.context.buffer)
    changed = [i for i in range(2 * BLOCK) if before[i] != after[i]]
    after[changed[-1]] ^= 1
    assert _gather(bytes(after), "/table.bwt") in (_contents(5000, 1), _contents(6000, 2))
    after[changed[len(changed) // 2]] ^= 4
    assert _gather(bytes(after), "/table.bwt") == _contents(5000, 1)


NAMES = st.sampled_from(["a", "b", "faq", "table.bwt", "encoder.bwe", "littlefs", "né", "z" * 40])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda names: "/" + "/".join(names))
SIZES = st.one_of(st.sampled_from([0, 1, 100, 4095, 4096, 4097, 8187, 8188, 8189, 12276, 12277, 40_000]), st.integers(0, 20_000))
STEPS = st.one_of(
    st.tuples(st.just("write"), PATHS, SIZES, st.integers(0, 255)),
    st.tuples(st.just("mkdir"), PATHS),
    st.tuples(st.just("remove"), PATHS),
    st.tuples(st.just("rename"), PATHS, PATHS),
    st.tuples(st.just("append"), PATHS, SIZES, st.integers(0, 255)),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEPS, max_size=40), block_cycles=st.sampled_from([1, 5, 500]))
def test_any_history(steps: list[tuple], block_cycles: int) -> None:
    fs = _filesystem(blocks=96, block_cycles=block_cycles)
    for folder in ("/a", "/a/b", "/faq"):
        fs.mkdir(folder)
    for step in steps:
        try:
            match step:
                case ("write", path, size, seed):
                    _write(fs, path, _contents(size, seed))
                case ("append", path, size, seed):
                    with fs.open(path, "ab") as file:
                        file.write(_contents(size, seed))
                case ("mkdir", path):
                    fs.mkdir(path)
                case ("remove", path):
                    fs.remove(path)
                case ("rename", old, new):
                    fs.rename(old, new)
        except (LittleFSError, OSError):
            continue  # no such directory, not empty, full...: littlefs's own refusals
    _assert_all_found(fs)
    removed = {step[1] for step in steps}
    image = bytes(fs.context.buffer)
    there = {f"{folder.rstrip('/')}/{name}" for folder, _, files in fs.walk("/") for name in files}
    for path in removed - there:
        with pytest.raises(littlefs.NotFound):
            littlefs.extents(image, path.encode())


@settings(max_examples=100, deadline=None)
@given(flips=st.lists(st.tuples(st.integers(0, 6 * BLOCK - 1), st.integers(0, 255)), min_size=1, max_size=30))
def test_damage_never_does_worse_than_not_found(flips: list[tuple[int, int]]) -> None:
    fs = _filesystem(blocks=16)
    fs.mkdir("/faq")
    _write(fs, "/faq/table.bwt", _contents(9000, 1))
    image = bytearray(fs.context.buffer)
    for position, value in flips:
        image[position] = value
    try:
        places, _ = littlefs.extents(bytes(image), b"/faq/table.bwt", BLOCK, ADDRESS)
    except littlefs.NotFound:
        return
    assert all(ADDRESS <= place < ADDRESS + len(image) for place in places[1::2])
