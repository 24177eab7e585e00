"""Which boards are plugged in, and why a serial port cannot be used."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from fake_board import Plugged, PtyBoard, make_drive

from bitwren.boards import find_board
from bitwren_host import port_access
from bitwren_host.flash.choose import NoBoard, Place, SeveralBoards, attached, choose
from bitwren_host.port_access import PortBusy, PortForbidden, PortMissing, check_port
from bitwren_host.ports import Computer, Drive, SerialPort, mount_points, usb_location

PICO, ESP32 = find_board("pico"), find_board("esp32")


# --- What is there -------------------------------------------------------------------------------------------------


def test_ports_and_drives_are_described(tmp_path: Path) -> None:
    plugged = Plugged()
    plugged.plug("/dev/ttyUSB1", "10c4:ea60", "1-2.3:1.0", "CP2102")
    plugged.plug("/dev/ttyS0", "", description="n/a")
    plugged.mounts += [make_drive(tmp_path / "RPI-RP2"), tmp_path, tmp_path / "gone"]
    plugged.locations[str(tmp_path / "RPI-RP2")] = "1-4"
    computer = plugged.computer()
    assert [str(port) for port in computer.ports()] == ["/dev/ttyS0", "/dev/ttyUSB1 (CP2102, USB 10c4:ea60)"]
    assert computer.ports()[1].location == "1-2.3"
    assert computer.drives() == [Drive(tmp_path / "RPI-RP2", "RPI-RP2", "1-4")]


def test_this_computer_can_be_asked() -> None:
    computer = Computer()
    assert all(port.device for port in computer.ports())
    assert all(drive.path.is_dir() for drive in computer.drives())
    assert all(path.is_absolute() for path in mount_points())


def test_where_a_drive_is_plugged_in(tmp_path: Path) -> None:
    real = tmp_path / "devices/pci0000:00/usb1/1-2/1-2.4/1-2.4:1.0/host3/target3:0:0/3:0:0:0/block/sdb/sdb1"
    real.mkdir(parents=True)
    (tmp_path / "block").mkdir()
    (tmp_path / "block" / "sdb1").symlink_to(real)
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/sdb1 /media/me/RPI\\040RP2 vfat rw 0 0\n/dev/sdc1 /media/me/OTHER vfat rw 0 0\n")

    def where(mounted: str) -> str:
        return usb_location(Path(mounted), mounts, tmp_path / "block")

    assert where("/media/me/RPI RP2") == "1-2.4"
    assert where("/media/me/OTHER") == ""
    assert where("/media/me/NONE") == ""
    assert usb_location(Path("/media/me/RPI RP2"), tmp_path / "none", tmp_path / "block") == ""


# --- None, one, several --------------------------------------------------------------------------------------------


def test_no_board(tmp_path: Path) -> None:
    plugged = Plugged()
    with pytest.raises(NoBoard) as told:
        choose(PICO, plugged.computer())
    assert str(told.value) == (
        "no Raspberry Pi Pico is plugged in, nor any other board. Plug it in with a cable that carries data. Hold BOOTSEL while "
        "you plug the board in; a drive called RPI-RP2 appears. On a board that runs MicroPython: mpremote bootloader. One "
        "that is not recognised can be named with --port or --drive"
    )


def test_none_of_that_kind(tmp_path: Path) -> None:
    plugged = Plugged()
    plugged.plug("/dev/ttyUSB0", "10c4:ea60", description="CP2102")
    plugged.mounts.append(make_drive(tmp_path / "RP2350", "RP2350"))
    with pytest.raises(NoBoard) as told:
        choose(PICO, plugged.computer())
    assert str(told.value).startswith(
        "no Raspberry Pi Pico is plugged in; there are others: /dev/ttyUSB0 (CP2102, USB 10c4:ea60); "
        f"{tmp_path}/RP2350 (boot loader RP2350). Plug it in with a cable that carries data. "
    )
    with pytest.raises(NoBoard, match=r"can be named with --port$"):
        choose(ESP32, Plugged().computer())


def test_one_board_is_taken_be_it_a_port_or_a_drive(tmp_path: Path) -> None:
    plugged = Plugged()
    plugged.plug("/dev/ttyUSB0", "10c4:ea60", description="CP2102")
    plugged.plug("/dev/ttyACM0", "2e8a:0005")
    assert choose(PICO, plugged.computer()).name == "/dev/ttyACM0"
    assert choose(ESP32, plugged.computer()).name == "/dev/ttyUSB0"
    plugged.unplug("/dev/ttyACM0")
    plugged.mounts.append(make_drive(tmp_path / "RPI-RP2"))
    assert choose(PICO, plugged.computer()) == Place(drive=Drive(tmp_path / "RPI-RP2", "RPI-RP2"))


def test_several_boards_are_listed(tmp_path: Path) -> None:
    plugged = Plugged()
    plugged.plug("/dev/ttyACM1", "2e8a:0005", "1-1")
    plugged.plug("/dev/ttyACM0", "2e8a:0005", "1-2")
    plugged.mounts.append(make_drive(tmp_path / "RPI-RP2"))
    with pytest.raises(SeveralBoards) as told:
        choose(PICO, plugged.computer())
    assert str(told.value) == (
        "3 boards could be a Raspberry Pi Pico: /dev/ttyACM0 (Board in FS mode, USB 2e8a:0005); /dev/ttyACM1 (Board in FS mode, "
        f"USB 2e8a:0005); {tmp_path}/RPI-RP2 (boot loader RPI-RP2). Say which with --port or --drive, or flash all of them with "
        "--all"
    )
    assert len(attached(PICO, plugged.computer())) == 3
    named = choose(PICO, plugged.computer(), port="/dev/ttyACM1")
    assert named == Place(SerialPort("/dev/ttyACM1", "2e8a:0005", "e66", "1-1", "Board in FS mode"))
    assert choose(PICO, plugged.computer(), port="/dev/other").name == "/dev/other"
    assert choose(PICO, plugged.computer(), drive=tmp_path / "RPI-RP2").name == str(tmp_path / "RPI-RP2")


def test_drives_that_are_none(tmp_path: Path) -> None:
    computer = Plugged().computer()
    with pytest.raises(NoBoard, match=f"^{tmp_path}/x is no boot loader's drive: it is not there. Hold BOOTSEL"):
        choose(PICO, computer, drive=tmp_path / "x")
    with pytest.raises(NoBoard, match=r"it holds no INFO_UF2\.TXT"):
        choose(PICO, computer, drive=tmp_path)
    with pytest.raises(NoBoard, match=r"^wrong board: .*another chip \(RP2350\); a Raspberry Pi Pico's is RPI-RP2\. N"):
        choose(PICO, computer, drive=make_drive(tmp_path / "RP2350", "RP2350"))
    with pytest.raises(Exception, match=r"^an ESP32 with 4 MB of flash has no drive: it is flashed through its serial port"):
        choose(ESP32, computer, drive=tmp_path)


# --- Ports that cannot be used -------------------------------------------------------------------------------------


def test_a_port_that_can_be_used() -> None:
    with PtyBoard(lambda data: b"") as board:
        check_port(board.port)


def test_a_port_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PortMissing, match=r"^/dev/no-such-port is not there: is the board plugged in\?"):
        check_port("/dev/no-such-port")
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file", Path("/dev/null")):
        with pytest.raises(PortMissing, match=f"^{path} is no serial port"):
            check_port(str(path))


def test_a_port_that_another_program_holds() -> None:
    hold = "import fcntl, os, sys; f = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY); fcntl.flock(f, fcntl.LOCK_EX)"
    hold += "; print('held', flush=True); sys.stdin.read()"
    with (
        PtyBoard(lambda data: b"") as board,
        subprocess.Popen([sys.executable, "-c", hold, board.port], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder,
    ):
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(PortBusy) as told:
            check_port(board.port)
        holder.stdin.close()
    assert str(told.value).startswith(f"{board.port} is busy: ")
    assert f"(process {holder.pid}) has it open. Close that, and try again" in str(told.value)


def test_a_port_that_nobody_else_may_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """TIOCEXCL does not keep root out, as whom tests may run."""

    def refuse(path: str, flags: int) -> int:
        raise OSError(errno.EBUSY, "Device or resource busy")

    with PtyBoard(lambda data: b"") as board:
        monkeypatch.setattr(port_access, "_holders", lambda port: [])
        descriptor = os.open(board.port, os.O_RDWR | os.O_NOCTTY)
        fcntl.ioctl(descriptor, termios.TIOCEXCL)
        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(PortBusy, match=f"^{board.port} is busy: another program has it open \\(mpremote, a serial terminal"):
            check_port(board.port)
        os.close(descriptor)


@pytest.mark.parametrize(
    ("group", "wanted"),
    [
        ("dialout", "which belongs to the group dialout: sudo usermod -aG dialout $USER, then log out and in again"),
        ("root", 'a udev rule gives it to one, such as SUBSYSTEM=="tty", GROUP="dialout", MODE="0660" in /etc/udev/rules.d/'),
    ],
)
def test_a_port_that_this_user_may_not_open(group: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, flags: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    with PtyBoard(lambda data: b"") as board:
        monkeypatch.setattr(os, "open", refuse)
        monkeypatch.setattr(port_access.grp, "getgrgid", lambda number: type("Group", (), {"gr_name": group}))
        with pytest.raises(PortForbidden) as told:
            check_port(board.port)
        monkeypatch.undo()
    assert str(told.value).startswith(f"you may not open {board.port}")
    assert wanted in str(told.value)
