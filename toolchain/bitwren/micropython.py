"""What a MicroPython firmware for any chip says of itself, read from the texts that it prints."""

from __future__ import annotations

import re

from .boards import Board, all_boards
from .errors import BitwrenError

_VERSION = re.compile(rb"MicroPython v(\d{1,3}\.\d{1,3}[!-~]{0,40}) on \d{4}-\d\d-\d\d")
_SOMETIMES = "Generic "  # the ESP32-C3's has it from 1.28 on, the ESP32's always had
_MACHINE = re.compile(rb"; ([!-~][ -~]{2,80} with [A-Z0-9-]{2,20})[\0\r]")


def describe(firmware: bytes) -> tuple[str, str]:
    """Version and machine, as ``("1.25.0", "Raspberry Pi Pico with RP2040")``; either is "" where it cannot be found."""
    version, machine = _VERSION.search(firmware), _MACHINE.search(firmware)
    return version[1].decode() if version else "", machine[1].decode() if machine else ""


def check(firmware: bytes, board: Board, name: str) -> str:
    """See that a firmware is for a board and not too old, as far as can be told; returns its version, or "".

    :param name: what to call it in an error.
    :raises BitwrenError: which board it is for, or which version is needed, and where that is published.
    """
    wanted = board.firmware
    version, machine = describe(firmware)
    if wanted is None:
        return version
    get = f"take {wanted.published} from {wanted.page}" if wanted.page else f"take one for {board.title}"
    if machine and not is_for(machine, board):
        raise BitwrenError(f'{name} is for another board: it calls itself "{machine}"; {get}')
    if version and is_older(version, wanted.at_least):
        raise BitwrenError(f"{name} is MicroPython {version}, and bitwren needs {wanted.at_least} or later: {get}")
    return version


def is_older(version: str, than: str) -> bool:
    """Whether a version is older than another; a preview counts as its release."""
    return _numbers(version) < _numbers(than)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("-")[0])[:3])


def is_for(machine: str, board: Board) -> bool:
    """Whether a machine is a board: it begins as the board's does, and no other board's text fits it better."""
    assert board.firmware is not None
    machine, mine = machine.removeprefix(_SOMETIMES), board.firmware.machine.removeprefix(_SOMETIMES)
    texts = (other.firmware.machine.removeprefix(_SOMETIMES) for other in all_boards() if other.firmware)
    return machine.startswith(mine) and not any(machine.startswith(text) and len(text) > len(mine) for text in texts)
