"""``bitwren deploy``: a bundle and what runs it, onto a board that has MicroPython. What is there answers until the new can.

New files go beside the old as NAME.new, are checked on the board, and take their places by a list that the board itself
finishes if it is cut off (firmware/bitwren/update.py). Files are sent by mpremote, as a command.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bitwren.bundle import Bundle
from bitwren.container import read_file
from bitwren.encoder import Elsewhere
from bitwren.errors import BitwrenError, QueryError

from .board_files import BUNDLE_FOLDER, bundle_files, data_folder, firmware_files
from .courier import send
from .on_board import CHECK, COMMIT, FORGET, HASH, INVENTORY, PREPARE
from .probe import NEEDED_HEAP, OLDEST, Board, look
from .repl import RawRepl
from .serial_link import LinkError, PortLine
from .targets import LineTarget, wait_for_console

MAIN = "main.py"
_PACKAGE = "lib/bitwren"
# In the order in which they must take their places: see firmware/bitwren/update.py.
_FIRST = (f"{_PACKAGE}/update", f"{_PACKAGE}/__init__")
_PATIENCE = 15.0  # seconds for the raw REPL: an emulated board on a busy machine
_SECONDS = 120.0  # for a script: hashing a megabyte takes an emulated Pico half a minute
_ENTRIES = 8  # of a dict that a small board compiles at once
_LIST = "/lib/bitwren.todo"
_WORDS = 12  # of an answer that is asked for
Say = Callable[[str], None]


class DeployError(BitwrenError):
    """A board that cannot get, or did not get, what was to be deployed."""


@dataclass(frozen=True)
class Wish:
    """What the user chose.

    :ivar name: the bundle's folder on the board. :ivar native: whether the native module goes along. :ivar main: whether another
        program's main.py is replaced. :ivar replace: whether the bundle that is there is removed first, for want of room.
    :ivar reset: whether the board is restarted, and asked a question. :ivar dry_run: whether nothing is written.
    """

    name: str = BUNDLE_FOLDER
    native: bool = True
    main: bool = False
    replace: bool = False
    reset: bool = True
    dry_run: bool = False


@dataclass
class Report:
    """What was done, or, in a dry run, what would be. Paths as on the board.

    :ivar question: what the board was asked at the end; None where it was not. :ivar answer: what it said, of
    codes of so many bits.
    :ivar notes: what the user should know, a sentence each.
    """

    port: str
    board: Board
    sent: dict[str, int] = field(default_factory=dict)
    ready: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    question: str | None = None
    answer: dict[str, Any] | None = None
    bits: int = 0

    def json(self) -> dict[str, Any]:
        """For programs."""
        board = {key: value for key, value in asdict(self.board).items() if key not in ("port", "native", "bundle", "lacks")}
        return {**vars(self), "board": board}


def deploy(directory: Path, port: str, wish: Wish, say: Say) -> Report:
    """Bring a bundle and what runs it onto the board at a port, and ask it a question.

    :param port: as :func:`.port_names.resolve` gives it. :param say: is told each step, for people.
    :raises BitwrenError: before anything is written where the board cannot run it or has no room; else when a file does not
        arrive. The bundle that was there answers in either case, after a reset.
    """
    bundle = Bundle.read(directory)
    say(f"looking at the board on {port}")
    with PortLine(port) as line:
        repl = RawRepl(line)
        repl.demand(_PATIENCE, port)
        try:
            repl.define(FORGET)
            board = look(repl, port, _SECONDS, bitwren=False)
            files = _files(directory, board, wish)
            report, stale = _compare(repl, board, files, wish)
            if not wish.dry_run:
                _prepare(repl, board, report, stale, files)
        except BaseException:
            with contextlib.suppress(LinkError):  # it may be gone
                repl.leave(wish.reset)
            raise
        repl.leave(wish.reset and wish.dry_run)
    if wish.dry_run:
        return report
    pending = [*report.ready, *report.sent]
    if report.sent:
        send(port, {path: files[path] for path in report.sent}, board.root, say)
    with PortLine(port) as line:
        repl = RawRepl(line)
        if pending or report.removed:
            say("checking what has arrived")
            repl.demand(_PATIENCE, port)
            _commit(repl, board, files, pending, report.removed)
            repl.leave(reset=False)
        if wish.reset:
            say("restarting the board, to ask it a question")
            _ask(repl, line, bundle, wish, report)
            report.bits = bundle.table.bits
    return report


def _files(directory: Path, board: Board, wish: Wish) -> dict[str, bytes]:
    """What the board should have, by path below its root, if it can run it."""
    if board.too_old:
        raise DeployError(
            f"MicroPython {board.version} on {board.port} is too old: bitwren needs {'.'.join(map(str, OLDEST))} or later. "
            "Flash a newer one (bitwren flash); nothing was written."
        )
    if board.heap < NEEDED_HEAP:
        raise DeployError(
            f"The board on {board.port} has {board.heap // 1024} KB of RAM for programs and bitwren needs {NEEDED_HEAP // 1024}: "
            "take a board with more. Nothing was written."
        )
    if wish.native and board.arch == "none":
        raise DeployError(
            f"The MicroPython on {board.port} loads no native modules: flash one that does (bitwren flash), or deploy with "
            "--no-native, which gives the same answers slowly. Nothing was written."
        )
    try:
        files = firmware_files(board.arch, board.machine, wish.native)
    except BitwrenError as error:
        raise DeployError(
            f"{error}; or deploy with --no-native, which gives the same answers slowly. Nothing was written."
        ) from error
    for path, data in files.items():
        version = f"{data[1]}.{data[2] & 3}" if path.endswith(".mpy") else ""
        whole = path == "lib/bitwren_native.mpy"
        if version and (version if whole else version[:1]) != (board.mpy if whole else board.mpy[:1]):
            raise DeployError(
                f"MicroPython {board.version} on {board.port} loads .mpy files of version {board.mpy}, and bitwren's are of "
                f"{version}: flash a MicroPython that loads those (1.23 and later do). Nothing was written."
            )
    return files | {path: data for path, data in bundle_files(directory, wish.name).items() if not path.endswith(".npz")}


def _compare(repl: RawRepl, board: Board, files: dict[str, bytes], wish: Wish) -> tuple[Report, list[str]]:
    """What is to be done, and what an earlier deploy left."""
    root, report = board.root, Report(board.port, board)
    # A list that a deploy which was cut off left behind is finished first.
    repl.define(_update(), HASH, f"finish({root + _LIST!r})", *INVENTORY)
    repl.define(*_in_pieces("wanted", {f"{root}/{path}": len(data) for path, data in files.items()}))
    # Of each file its path, its bytes, and its digest, which is None for what is not wanted and "" for what is not worth it.
    listed = repl.collect(f"inventory({root!r}, {wish.name!r})", _SECONDS)
    there = {path: (size, digest) for path, size, digest in listed}
    found = repl.run(f"say(rest({root!r}))", _SECONDS)
    first = [name for name in found["bundles"] if name < wish.name]
    if first:
        raise DeployError(
            f"The board on {board.port} opens the bundle {first[0]} first, by name: --name {first[0]} replaces it, or remove it: "
            f"mpremote connect {board.port} rm -r :{first[0]}. Nothing was written."
        )
    if found["main"] == "other" and not wish.main:
        report.notes.append(f"{MAIN} on the board is another program's and was left alone: --main puts bitwren's console there")
        files.pop(MAIN)
    for path, data in _in_order(files):
        size, digest = there.get(path, (-1, ""))
        if (size, digest) == (len(data), _digest(data)):
            report.unchanged.append(path)
            continue
        size, digest = there.get(path + ".new", (-1, ""))
        if (size, digest) == (len(data), _digest(data)):
            report.ready.append(path)
        else:
            report.sent[path] = len(data)
    report.removed = [path for path, (_, digest) in there.items() if digest is None and not path.endswith(".new")]
    changed = {*report.sent, *report.ready}
    kept = {path + ".new" for path in report.ready}
    stale = [path for path in there if path.endswith(".new") and path not in kept]
    if wish.replace:
        stale += [path for path in (f"{wish.name}/table.bwt", f"{wish.name}/encoder.bwe") if path in there and path in changed]
    if report.sent and not found["writable"]:
        raise DeployError(f"The filesystem at {root or '/'} of the board on {board.port} is read-only: nothing was written.")
    _demand_room(board, report, sum(_blocks(there[path][0], board.block) for path in stale), wish)
    return report, stale


def _demand_room(board: Board, report: Report, freed: int, wish: Wish) -> None:
    """Refuse what does not fit beside what is there. :param freed: blocks of what is removed before."""
    if not board.block:
        return
    # Folders are two blocks each in littlefs, and its own bookkeeping wants some.
    needed = sum(_blocks(size, board.block) for size in report.sent.values()) + 6
    lacking = (needed - freed) * board.block - board.free
    if lacking > 0 and report.sent:
        remedy = (
            "use fewer documents, --encoder tiny or fewer bits"
            if wish.replace
            else "--replace removes the old bundle first (none answers until the new one is there), or use fewer documents, "
            "--encoder tiny or fewer bits"
        )
        raise DeployError(
            f"flash full: the filesystem of the board on {board.port} has {board.free:,} bytes free, and {lacking:,} more are "
            f"needed to put the new files beside the old: {remedy}. Nothing was written."
        )


def _blocks(size: int, block: int) -> int:
    # A block of littlefs holds up to 8 bytes of pointers a block on average.
    return -(-size // max(1, block - 8)) if block else 0


def _in_order(files: dict[str, bytes]) -> list[tuple[str, bytes]]:
    """As they take their places: what finishes a list first, then the package, then what it reads, main.py last."""

    def rank(path: str) -> tuple[int, str]:
        stem = path.rpartition(".")[0]
        if stem in _FIRST:
            return _FIRST.index(stem), path
        return (2 if path.startswith("lib/") else 4 if path == MAIN else 3), path

    return sorted(files.items(), key=lambda item: rank(item[0]))


def _prepare(repl: RawRepl, board: Board, report: Report, stale: list[str], files: dict[str, bytes]) -> None:
    """Remove what an earlier deploy left, and make the folders."""
    folders = {str(parent) for path in report.sent for parent in Path(path).parents if str(parent) != "."}
    ordered = sorted(folders, key=lambda path: (path.count("/"), path))
    remove = sorted(stale, key=lambda path: not path.endswith("table.bwt"))  # a table without encoder is for embeddings
    if ordered or remove:
        repl.define(PREPARE)
        repl.run(f"say(prepare({board.root!r}, {remove!r}, {ordered!r}))", _SECONDS)


def _commit(repl: RawRepl, board: Board, files: dict[str, bytes], pending: list[str], removed: list[str]) -> None:
    """Check what has arrived, and put it in its place."""
    root = board.root
    repl.define(FORGET, HASH, "expected = {}")
    repl.define(*_in_pieces("expected", {f"{root}/{path}.new": _digest(files[path]) for path in pending}), CHECK)
    wrong = repl.run("say(check(expected))", _SECONDS)
    if wrong:
        names = ", ".join(path.removesuffix(".new") for path in wrong)
        raise DeployError(
            f"These files did not arrive whole on {board.port}: {names}. What was there before still answers, after a reset; "
            "run it again: only these are sent."
        )
    lines = {line: number for number, line in enumerate(steps(root, pending, removed))}
    repl.define(_update(), COMMIT, "lines = {}", *_in_pieces("lines", lines))
    repl.run(f"say(commit({root + _LIST!r}, sorted(lines, key=lambda line: lines[line])))", _SECONDS)


def steps(root: str, pending: Iterable[str], removed: Iterable[str]) -> list[str]:
    """What a board does to put files in their places and remove others, as firmware/bitwren/update.py takes it, in order."""
    gone = set(removed)
    # A source is imported in place of the .mpy beside it: it goes right after that has come.
    order = [path for path, _ in _in_order(dict.fromkeys([*pending, *gone], b""))]
    return [("-" if path in gone else "+") + f"{root}/{path}" for path in order]


def _ask(repl: RawRepl, line: PortLine, bundle: Bundle, wish: Wish, report: Report) -> None:
    """Restart the board, ask it a question that this computer has answered too, and compare."""
    port, question = report.port, _question(bundle)
    expected = None if question is None else bundle.answer(question, 1)
    repl.demand(_PATIENCE, port)
    repl.leave()
    if MAIN in [*report.sent, *report.ready, *report.unchanged]:
        wait_for_console(line, _SECONDS)
        target = LineTarget(line, _SECONDS)
        said = target.info() if question is None else target.answer(question, 1)
    else:
        repl.demand(_PATIENCE, port)
        repl.define(FORGET)
        call = f"wren.answer({question!r}, 1)" if question is not None else "wren.info()"
        script = f"import bitwren\nwren = bitwren.open({report.board.root + '/' + wish.name!r})\nsay({call})"
        try:
            said = repl.run(script, _SECONDS)
        finally:
            repl.leave()
    report.question, report.answer = question, said
    if expected is not None and said != expected:
        found = said.get("error") or said.get("hits")
        raise DeployError(f"The board on {port} answers otherwise than this computer: {found}. bitwren doctor says more.")


def _question(bundle: Bundle) -> str | None:
    """The first words of a document, or of its answer; None where the table takes no text or has no documents."""
    if isinstance(bundle.encoder, Elsewhere) or not bundle.table.live.any():
        return None
    record = bundle.table.records[int(bundle.table.live.argmax())]
    for text in (record.text, record.answer, record.id):
        question = " ".join((text or "").split()[:_WORDS])
        try:
            if question and "error" not in bundle.answer(question, 1):
                return question
        except QueryError:
            continue
    return None


def _in_pieces(name: str, entries: dict[str, Any]) -> list[str]:
    """A dict of a board's, filled little by little: a long literal takes much memory to compile."""
    items = list(entries.items())
    return [f"{name}.update({dict(items[at : at + _ENTRIES])!r})" for at in range(0, len(items), _ENTRIES)]


def _update() -> str:
    """What a board finishes a list with, as it is on boards, without what it says of itself."""
    return read_file(data_folder("firmware") / "bitwren" / "update.py").decode().split('"""', 2)[2]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
