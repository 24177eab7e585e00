"""The emulated Pico and the unix port: images, booting, talking to them, and what a user is told when it goes wrong."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from littlefs import LittleFS

from bitwren.errors import BitwrenError
from bitwren_host.emulator import PICO_BLOCK, PICO_BLOCKS, EmulatedPico, EmulatorError, UnixPort, pico_image
from bitwren_host.serial_link import Line, LineBuffer, LinkClosed, LinkError, LinkTimeout, PortLine

MICROPYTHON = Path(__file__).parent.parent / ".cache" / "micropython"
FIRMWARE = MICROPYTHON / "pico" / "firmware.uf2"
UNIX = MICROPYTHON / "unix" / "micropython"

pico = pytest.mark.skipif(not FIRMWARE.exists(), reason="the Pico's firmware is not built: make pico-firmware")
unix = pytest.mark.skipif(not UNIX.exists(), reason="MicroPython's unix port is not built: make unix")

# Answers each line with its length and CRC, as a board's console would answer a query; empty lines are not answered,
# since the emulated Pico gets some at boot.
ECHO = b"""
import binascii, sys, time
print("ready")
while True:
    line = sys.stdin.buffer.readline()
    if not line:
        break
    line = line.rstrip(b"\\r\\n")
    if line == b"sleep":
        time.sleep(1)
    if line == b"fail":
        raise ValueError("as asked")
    if line:
        print(len(line), binascii.crc32(line))
"""


def answer_to(query: bytes) -> bytes:
    return b"%d %d" % (len(query), zlib.crc32(query))


def check_conversation(line: Line) -> None:
    """Long lines, many at once, and every byte that is no line end or Ctrl-C."""
    queries = [b"why does it blink", "Grüße ✓ 日本".encode(), bytes(range(14, 256)), b"sleep", b"x" * 4096]
    queries += [b"%04d " % n * 60 for n in range(20)]
    for query in queries:
        line.write(query + b"\n")
    for query in queries:
        assert line.readline(timeout=30) == answer_to(query)
    with pytest.raises(LinkTimeout):
        line.readline(timeout=0.1)


def greet(line: Line) -> None:
    """Opening a port drops what the board said before: what comes first is the end of it, or nothing, or its answer."""
    line.write(b"hello\n")
    while line.readline(10) != answer_to(b"hello"):
        pass


def read_image(image: bytes, path: str) -> bytes:
    filesystem = LittleFS(block_size=PICO_BLOCK, block_count=PICO_BLOCKS, mount=False)
    filesystem.context.buffer = bytearray(image)
    filesystem.mount()
    with filesystem.open(path, "rb") as file:
        return bytes(file.read())


def test_lines_are_cut_at_either_line_end_however_they_arrive() -> None:
    pieces = [b"one\r", b"\ntw", b"", b"o\n\nthr", b"ee"]
    lines = LineBuffer(lambda timeout: pieces.pop(0) if pieces else b"")
    assert [lines.readline(1) for _ in range(3)] == [b"one", b"two", b""]
    with pytest.raises(LinkTimeout, match="three"):
        lines.readline(0.01)
    lines.add(b"!\n")
    assert lines.readline(0) == b"three!"


def test_an_image_holds_its_files_and_folders() -> None:
    files = {"main.py": b"print(1)", "/faq/table.bwt": os.urandom(100_000), "faq/deep/er/x": b"", "lib/a.mpy": b"M"}
    image = pico_image(files)
    assert len(image) == PICO_BLOCK * PICO_BLOCKS
    for path, contents in files.items():
        assert read_image(image, path) == contents


def test_an_image_that_does_not_fit_says_so() -> None:
    with pytest.raises(BitwrenError, match=r"flash full: the files are 2,000,000 bytes and the Pico's .*1,441,792, .* too many"):
        pico_image({"main.py": b"", "faq/table.bwt": bytes(2_000_000)})


def test_a_path_that_is_file_and_folder_is_refused() -> None:
    with pytest.raises(BitwrenError, match="/faq/table"):
        pico_image({"faq": b"", "faq/table": b""})


def test_a_missing_port_is_a_clear_error() -> None:
    with pytest.raises(LinkError, match="bitwren ports"):
        PortLine("/dev/no-such-port")


def test_missing_firmware_says_how_to_build_it(tmp_path: Path) -> None:
    with pytest.raises(EmulatorError, match="make pico-firmware"):
        EmulatedPico(tmp_path / "none.uf2", b"")
    with pytest.raises(EmulatorError, match="make unix"):
        UnixPort(tmp_path / "none", tmp_path / "x.py", folder=tmp_path)


def test_what_is_no_firmware_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "bad.uf2").write_bytes(bytes(1024))
    with pytest.raises(EmulatorError, match=r"did not start(.|\n)*magic"):
        EmulatedPico(tmp_path / "bad.uf2", pico_image({}))


@pico
def test_a_pico_runs_main_py_and_answers_on_its_port() -> None:
    with EmulatedPico(FIRMWARE, pico_image({"main.py": ECHO})) as board:
        with PortLine(board.port) as line:
            greet(line)
            check_conversation(line)
        # A port may be closed and opened again, as a real board's.
        with PortLine(board.port) as line:
            greet(line)
            line.write(b"\x03")
            while line.readline(10) != b"KeyboardInterrupt: ":
                pass


@pico
def test_flash_is_read_in_place_and_kept(tmp_path: Path) -> None:
    contents = os.urandom(20_000)
    # Finds the file's second block in the memory-mapped flash: 4 bytes of pointers, then contents from 4096 on.
    main = b"""
import uctypes
flash = uctypes.bytearray_at(0x100A0000, 1408 * 1024)
with open("/faq/table.bwt", "rb") as file:
    wanted = file.read(5000)[4096:]
blocks = [n for n in range(352) if flash[n * 4096 + 4 : n * 4096 + 4 + len(wanted)] == wanted]
with open("/note", "w") as file:
    file.write("kept")
while True:
    input()
    print(blocks)
"""
    image = pico_image({"main.py": main, "faq/table.bwt": contents})
    found = image.find(contents[4096:5000])
    assert found % PICO_BLOCK == 4
    after = tmp_path / "after.img"
    with EmulatedPico(FIRMWARE, image, save_image=after) as board, PortLine(board.port) as line:
        said = b""
        for _ in range(30):  # a line that comes while the board still starts may be lost
            line.write(b"\n")
            with contextlib.suppress(LinkTimeout):
                while (said := line.readline(2)) != b"[%d]" % (found // PICO_BLOCK):
                    pass
                break
        assert said == b"[%d]" % (found // PICO_BLOCK)
    assert read_image(after.read_bytes(), "/note") == b"kept"


@pico
def test_a_silent_pico_counts_as_not_booting() -> None:
    with pytest.raises(EmulatorError, match="did not boot within 1 s"):
        EmulatedPico(FIRMWARE, pico_image({"main.py": b"while True: pass"}), boot_timeout=1)


@pico
def test_a_closed_pico_leaves_no_process_behind() -> None:
    board = EmulatedPico(FIRMWARE, pico_image({}))
    line = PortLine(board.port)
    board.close()
    board.close()
    assert not Path(board.port).exists()
    with pytest.raises(LinkClosed):
        line.readline(5)
    line.close()


@pico
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_pico_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from bitwren_host.emulator import EmulatedPico, pico_image\n"
        "board = EmulatedPico(Path(sys.argv[1]), pico_image({})); print(board.port, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", script, str(FIRMWARE)], stdout=subprocess.PIPE, env=environment) as owner:
        assert owner.stdout is not None
        port = Path(owner.stdout.readline().decode().strip())
        assert port.exists()
        owner.kill()
    deadline = time.monotonic() + 5
    while port.exists():
        assert time.monotonic() < deadline, "the emulated Pico goes on without its owner"
        time.sleep(0.05)


@unix
def test_the_unix_port_answers_on_its_pipes(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_bytes(ECHO)
    with UnixPort(UNIX, tmp_path / "echo.py", folder=tmp_path) as line:
        assert line.readline(10) == b"ready"
        check_conversation(line)
        # More than both pipes hold: written before any answer is read.
        line.write(b"q\n" * 200_000)
        assert all(line.readline(10) == answer_to(b"q") for _ in range(200_000))


@unix
def test_the_unix_port_finds_modules_in_its_folders(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "some.py").write_text("name = 'found'")
    (tmp_path / "x.py").write_text("import os, sys, some\nprint(some.name, sys.argv[1:], 'x.py' in os.listdir())")
    with UnixPort(UNIX, tmp_path / "x.py", folder=tmp_path, modules=[tmp_path / "lib"], arguments=["a b"]) as line:
        assert line.readline(10) == b"found ['a b'] True"


@unix
def test_the_unix_port_tells_why_it_ended(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_bytes(ECHO)
    with UnixPort(UNIX, tmp_path / "echo.py", folder=tmp_path) as line:
        line.write(b"fail\n")
        assert line.readline(10) == b"ready"
        with pytest.raises(LinkClosed, match=r"exit code 1(.|\n)*ValueError: as asked"):
            line.readline(10)
        time.sleep(0.1)
        with pytest.raises(LinkClosed, match="as asked"):
            line.write(b"more\n")
    with pytest.raises(LinkClosed):
        line.write(b"more\n")
