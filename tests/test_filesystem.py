"""Filesystem images: what is written of one over an old one is enough for littlefs to see the new files and nothing else."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from littlefs import LittleFS

from bitwren import filesystem
from bitwren.errors import BitwrenError

SIZES = filesystem.SIZES["rp2"]
BLOCKS = 96


def opened(blocks: int, data: bytes | None = None) -> LittleFS:
    system = LittleFS(
        block_size=4096,
        block_count=blocks,
        read_size=32,
        prog_size=SIZES.program,
        cache_size=SIZES.cache,
        lookahead_size=32,
        disk_version=0x20000,
        mount=data is None,
    )
    if data is not None:
        system.context.buffer = bytearray(data)
        system.mount()
    return system


def contents(system: LittleFS) -> dict[str, bytes]:
    return {
        f"{root}/{name}".lstrip("/"): bytes(system.open(f"{root}/{name}", "rb").read())
        for root, _, names in system.walk("/")
        for name in names
    }


@pytest.fixture(scope="module")
def old_flash() -> bytes:
    """A filesystem of many years: revisions are high, and every block holds a directory or a file that was one day in use."""
    system, noise = opened(BLOCKS), random.Random(1)
    for turn in range(60):
        folder = f"/old{turn % 12}"
        system.makedirs(folder, exist_ok=True)
        for index in range(6):
            with system.open(f"{folder}/f{index}", "wb") as file:
                file.write(noise.randbytes(noise.randrange(6000)))
        if turn % 3 == 2:
            for index in range(6):
                system.remove(f"{folder}/f{index}")
            system.rmdir(folder)
    data = bytearray(system.context.buffer)
    # Blocks with nothing in them get a directory's that is valid and very new.
    newest = data[4096:8192] if data[4096:4100] > data[:4] else data[:4096]
    for block in range(2, BLOCKS):
        if set(data[4096 * block : 4096 * block + 4096]) == {0xFF}:
            data[4096 * block : 4096 * block + 4096] = newest
    return bytes(data)


FOLDERS = ["", "lib", "lib/bitwren", "lib/bitwren/fallback", "bundle", "a/b/c/d"]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 30), most=st.integers(1, 30))
def test_new_files_over_an_old_filesystem(seed: int, most: int, old_flash: bytes) -> None:
    noise = random.Random(seed)
    new = {
        f"{folder}/file{index}.mpy".lstrip("/"): noise.randbytes(noise.choice([0, 10, 600, 5000]))
        for folder in noise.sample(FOLDERS, noise.randrange(len(FOLDERS)))
        for index in range(noise.randrange(most))
    }
    try:
        # Room for one more file is left.
        filesystem.image(new | {"spare": bytes(40_000)}, BLOCKS * 4096, SIZES, "it")
    except filesystem.FilesystemFull:
        return
    data = filesystem.image(new, BLOCKS * 4096, SIZES, "it")
    flash = bytearray(old_flash)
    for begin, end in filesystem.written(data):
        flash[begin:end] = data[begin:end]
    system = opened(BLOCKS, bytes(flash))
    same = contents(system) == new  # so that pytest does not print all that is not
    assert same
    # And it can be written to, as a board does.
    with system.open("/more", "wb") as file:
        file.write(b"x" * 9000)
    same = contents(opened(BLOCKS, bytes(system.context.buffer))) == new | {"more": b"x" * 9000}
    assert same


def test_most_of_an_empty_filesystem_is_not_written() -> None:
    data = filesystem.image({"main.py": b"x"}, 352 * 4096, SIZES, "it")
    pieces = filesystem.written(data)
    assert sum(end - begin for begin, end in pieces) <= 16 * 4096
    assert pieces[0][0] == 0


def test_blocks_beside_one_with_contents_are_written() -> None:
    data = bytearray(b"\xff" * 64 * 4096)
    data[4096 * 40] = 0
    assert filesystem.written(bytes(data)) == [(0, 6 * 4096), (36 * 4096, 45 * 4096), (60 * 4096, 64 * 4096)]


def test_reading_back_what_was_made() -> None:
    new = {"main.py": b"x", "lib/a/b": bytes(20_000), "empty": b""}
    found = filesystem.read(filesystem.image(new, 64 * 4096, SIZES, "it"), "x")
    assert found.files == new
    # The superblock's pair, two folders' pairs, and six blocks for 20,000 bytes and their pointers.
    assert found.used >= (2 + 2 + 2 + 5) * 4096
    with pytest.raises(BitwrenError, match="x is damaged"):
        filesystem.read(b"\xff" * 65536, "x")
