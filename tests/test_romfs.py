"""ROMFS images: where files lie in them, and what MicroPython's unix port reads from one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from board_bundle import CACHE, FIRMWARE, NATIVE, bundle_bytes, make_bundle

from bitwren.errors import BitwrenError
from bitwren_host import romfs
from bitwren_host.romfs import romfs_image

MICROPYTHON = CACHE / "micropython" / "unix" / "micropython"
FILES = {f"{'a/bc/d' * depth}{length}.bin": b"%d" % length * length for depth in (0, 1, 2) for length in range(6)}

READ = """
import json, os, sys, vfs
with open(sys.argv[1], "rb") as file:
    image = file.read()
vfs.mount(vfs.VfsRom(image), "/rom")

def walk(path):
    for entry in os.ilistdir(path):
        name = path + "/" + entry[0]
        if entry[1] == 0x4000:
            walk(name)
        else:
            with open(name, "rb") as file:
                found[name[5:]] = file.read().decode()

found = {}
walk("/rom")
print(json.dumps(found))
"""

OPEN = """
import json, sys, vfs
sys.path.append(sys.argv[2])
import bitwren
with open(sys.argv[1], "rb") as file:
    image = file.read()
vfs.mount(vfs.VfsRom(image), "/rom")
wren = bitwren.open("/rom/faq")
print(json.dumps([wren.info()["storage"], wren.answer("hello world", 3)]))
"""

needs_unix_port = pytest.mark.skipif(not MICROPYTHON.is_file(), reason="the unix port is not built: make unix")


def run(folder: Path, script: str, image: bytes, *arguments: str) -> Any:
    (folder / "rom.img").write_bytes(image)
    (folder / "script.py").write_text(script)
    command = [str(MICROPYTHON), "-X", "heapsize=4M", "script.py", "rom.img", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@needs_unix_port
@pytest.mark.parametrize("count", [0, 1, 2, 18])
def test_micropython_reads_it(tmp_path: Path, count: int) -> None:
    files = dict(list(FILES.items())[:count])
    image = romfs_image(files)
    assert len(image) % 2 == 0
    assert run(tmp_path, READ, image) == {name: contents.decode() for name, contents in files.items()}


def test_every_file_is_aligned() -> None:
    places = [(depth, length) for depth in range(3) for length in range(1, 9)]
    files = {"folder/" * depth + "n" * length: b"contents %d %d." % (depth, length) for depth, length in places}
    image = romfs_image(files)
    for contents in files.values():
        assert image.index(contents) % 4 == 0


@needs_unix_port
@pytest.mark.skipif(not NATIVE["x64"].is_file(), reason="the native module is not built: make natmods")
@pytest.mark.parametrize("aligned", [True, False])
def test_bundle_is_read_in_place_where_it_is_aligned(tmp_path: Path, aligned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_bundle()
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "bitwren").symlink_to(FIRMWARE / "bitwren")
    (tmp_path / "lib" / "bitwren_native_x64.mpy").write_bytes(NATIVE["x64"].read_bytes())
    if not aligned:
        monkeypatch.setattr(romfs, "_aligned", lambda at: romfs._record(romfs.PADDING, bytes(-(at + 6) % 4)))
    image = romfs_image({f"faq/{name}": data for name, data in bundle_bytes(made).items()})
    storage, answer = run(tmp_path, OPEN, image, str(tmp_path / "lib"))
    assert storage == dict.fromkeys(("encoder", "table"), "mapped" if aligned else "ram")
    assert answer == made.answer("hello world", 3)


@pytest.mark.parametrize("files", [{"a": b"", "a/b": b""}, {"a/b": b"", "a": b""}])
def test_name_that_is_both_file_and_folder(files: dict[str, bytes]) -> None:
    with pytest.raises(BitwrenError, match="cannot be put into ROMFS"):
        romfs_image(files)
