"""Flashing one board, from the first check to its first answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bitwren import uf2
from bitwren.boards import Board
from bitwren.errors import BitwrenError

from .. import probe
from ..port_access import check_port
from ..ports import Computer
from . import checks, question, rp2
from .choose import Place
from .esp32 import Esptool
from .payload import Payload
from .question import Reply
from .work import HALF_A_BUNDLE, Work


@dataclass(frozen=True)
class Options:
    """How boards are flashed.

    :ivar baud: for esptool; 0: the board file's. :ivar stub: see :mod:`.esp32`. :ivar query: as of :func:`.question.ask`.
    """

    baud: int = 0
    stub: bool = True
    query: str | None = None


@dataclass(frozen=True)
class Done:
    """A board that was flashed, read back and asked. :ivar details: chip, flash and the like, for programs."""

    place: str
    port: str
    written: int
    reply: Reply | None
    details: dict[str, Any] = field(default_factory=dict)


def flash(
    board: Board, place: Place, payload: Payload, computer: Computer, claims: rp2.Claims, options: Options, work: Work
) -> Done:
    """Check, write, read back and ask.

    :raises BitwrenError: a sentence that says what failed and what state the board is in.
    """
    if payload.data_only:
        work.half = HALF_A_BUNDLE
    checks.check_board(board)
    checks.check_space(board, payload.regions)
    if place.port:
        check_port(place.port.device)
    run = _flash_rp2 if board.family == "rp2" else _flash_esp32
    return run(board, place, payload, computer, claims, options, work)


def _flash_rp2(
    board: Board, place: Place, payload: Payload, computer: Computer, claims: rp2.Claims, options: Options, work: Work
) -> Done:
    drive = place.drive
    claims.take([(place.name, place.location)], place.location)
    if drive is None:
        assert place.port is not None
        found = _look(board, place.port.device, payload.data_only, work)
        if found and payload.data_only:
            checks.check_place(board, place.port.device, work.patience)
        drive = rp2.enter_boot_loader(board, place, computer, claims, work)
        claims.release(place.name)
    before = [port for port in computer.ports() if port.usb in board.usb.running]
    rp2.copy(payload.file, drive, work)
    location = drive.location or place.location
    port = rp2.wait_for_start(board, before, drive, computer, claims, location, work)
    rp2.verify(port, uf2.read(payload.file, "the image").runs, work)
    return _ask(board, place, port, payload, options, work, {"drive": str(drive.path)})


def _flash_esp32(
    board: Board, place: Place, payload: Payload, computer: Computer, claims: rp2.Claims, options: Options, work: Work
) -> Done:
    assert place.port is not None
    port = place.port.device
    if payload.data_only:
        _look(board, port, True, work)
        checks.check_place(board, port, work.patience)
    tool = Esptool(port, options.baud or board.boot.baud, board.boot.how, options.stub)
    chip = tool.identify(work)
    checks.check_chip(board, chip, payload.regions, port)
    tool.write(payload.regions, work)
    details = {"chip": chip.name, "flash_bytes": chip.flash_bytes, "mac": chip.mac}
    return _ask(board, place, port, payload, options, work, details)


def _look(board: Board, port: str, keeps_firmware: bool, work: Work) -> probe.Board | None:
    """Ask the MicroPython that runs there which it is, if one does."""
    work.at("asking what runs there")
    found = probe.probe(port, work.patience.answer, work.patience.repl)
    if found is None:
        if keeps_firmware:
            raise BitwrenError(
                f"{port} does not answer as MicroPython, so it cannot keep its firmware: flash the board whole, without --only "
                f"data. {work.state}"
            )
        return None
    if keeps_firmware:
        checks.check_kept(board, found)
    else:
        checks.check_running(board, found)
    return found


def _ask(board: Board, place: Place, port: str, payload: Payload, options: Options, work: Work, details: dict[str, Any]) -> Done:
    written = sum(len(region.data) for region in payload.regions)
    work.state = "The board is flashed and read back, but was not asked: see `bitwren doctor`"
    reply = question.ask(port, payload.bundle, work, options.query) if payload.answers else None
    work.at("done", written, written)
    return Done(place.name, port, written, reply, details | {"board": board.name})
