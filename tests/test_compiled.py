"""The query compiled to Thumb code: the reference's hits on each chip, code of known length, and chips where it must not run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import chip
import numpy as np
import pytest
from board_bundle import NATIVE, bundle_bytes, make_bundle, make_encoder
from chip import PAST_END
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_native_search import COPIES, EDGES, expected, make_codes, make_query, make_table
from test_pico_console import PATIENCE, PICO_FIRMWARE
from test_pico_console import Board as Pico
from test_qemu import MPY_DIR, Board, firmware_of

from bitwren import hamming
from bitwren.errors import BitwrenError
from bitwren.hamming import WIDTHS
from bitwren_host import qemu
from bitwren_host.bench import program
from bitwren_host.bench.machine import Machine
from bitwren_host.board_files import firmware_files
from bitwren_host.emulator import EmulatedPico, pico_image
from bitwren_host.qemu import MACHINES, QemuBoard

FROM = 2048  # documents, in firmware/bitwren/__init__.py
MADE = [bits for bits in WIDTHS if bits <= 512]  # BW_MAX_CODE_BITS

ARM = ("armv6m", "armv7emsp")


@pytest.fixture(scope="module", params=ARM)
def machine(request: pytest.FixtureRequest) -> Machine:
    try:
        return Machine(request.param, program.build(request.param))
    except BitwrenError as error:
        pytest.skip(str(error))


def room(bits: int) -> int:
    """BW_SEARCH_CODE."""
    return bits // 2 * 25


def search(machine: Machine, data: bytes, query: bytes, k: int, cut: int = 0) -> tuple[list[tuple[int, int]], bytes]:
    """Hits, and the room for code after the search."""
    return chip.search(machine, data, query, k, cut, "bench_compiled", 6400)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    bits=st.sampled_from(MADE),
    count=st.one_of(st.sampled_from(EDGES), st.integers(1, 400)),
    copies=st.sampled_from(COPIES),
    alive=st.sampled_from([1.0, 0.9, 0.05, 0.0]),
    asked=st.sampled_from(["random", "one of them", "opposite", "zero", "ones"]),
    cut=st.sampled_from([0, 0, 4084, 1028]),
    k=st.sampled_from([1, 2, 10, 33, 64, 65, 300, 2000]),
)
def test_hits_equal_the_reference(
    machine: Machine, seed: int, bits: int, count: int, copies: str, alive: float, asked: str, cut: int, k: int
) -> None:
    random = np.random.default_rng(seed)
    codes = make_codes(random, count, bits, copies)
    live = random.random(count) < alive
    query = ~np.zeros(bits // 32, np.uint32) if asked == "ones" else make_query(random, codes, asked)
    hits, code = search(machine, make_table(codes, live), query.tobytes(), k, cut)
    assert hits == expected(query, codes, k, live)
    filled = code.rstrip(bytes([PAST_END]))
    assert room(bits) - 64 <= len(filled) <= room(bits)


def test_no_code_is_made_of_wider_queries(machine: Machine) -> None:
    random = np.random.default_rng(6)
    codes, live = make_codes(random, 100, 1024, "none"), np.ones(100, bool)
    for k in (1, 70):
        hits, code = search(machine, make_table(codes, live), codes[17].tobytes(), k)
        assert hits == expected(codes[17], codes, k, live)
        assert code == bytes([PAST_END]) * len(code)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), bits=st.sampled_from(MADE), k=st.sampled_from([1, 10, 64, 65, 250]))
def test_better_documents_at_every_step(machine: Machine, seed: int, bits: int, k: int) -> None:
    """Every threshold from all bits down to none: distances that fall along the table, and some that rise."""
    random = np.random.default_rng(seed)
    steps = np.concatenate([np.linspace(bits, 0, 200), np.linspace(0, bits, 50)]).astype(int)
    unpacked = np.zeros((len(steps), bits), bool)
    for row, distance in enumerate(np.clip(steps + random.integers(-3, 4, len(steps)), 0, bits)):
        unpacked[row, random.permutation(bits)[:distance]] = True
    query = make_codes(random, 1, bits, "none")[0]
    codes = hamming.pack_bits(unpacked) ^ query
    live = np.ones(len(codes), bool)
    assert search(machine, make_table(codes, live), query.tobytes(), k)[0] == expected(query, codes, k, live)


def known(halfword: int) -> bool:
    """One of the few Thumb-1 instructions that are made: each within the registers and words that are its own."""
    register, operand = halfword & 7, halfword >> 3 & 7
    if halfword & 0xFFC0 in (0x4040, 0x4300, 0x4000, 0x4380):  # eors, orrs, ands, bics of r1-r7
        return register > 0 and operand > 0
    if halfword & 0xFFC0 in (0x4640, 0x4680):  # mov from r8-r12 or to them: never sp, lr or pc
        high = operand if halfword & 0x40 else register
        low = register if halfword & 0x40 else operand
        return high <= 4 and low >= 4
    if halfword & 0xF000 == 0x9000:  # ldr, str of r4-r7: words 1-4 of the stack
        return 1 <= halfword & 0xFF <= 4 and halfword >> 8 & 7 >= 4
    if halfword & 0xFF00 == 0xC800:  # ldmia r0!, of r4-r7
        return halfword & 0x0F == 0 and halfword & 0xF0 != 0
    return halfword in (0xD100, 0x4770)  # bne over the next one; bx lr


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), bits=st.sampled_from(MADE))
def test_only_known_instructions_and_as_many_for_every_query(machine: Machine, data: st.DataObject, bits: int) -> None:
    words = st.integers(0, 2**32 - 1) | st.sampled_from([0, 2**32 - 1, 0x55555555])
    query = np.array(data.draw(st.lists(words, min_size=bits // 32, max_size=bits // 32)), "<u4")
    idle = 10 - (bits.bit_length() - 1)
    machine.clear()
    to = machine.place(bytes([PAST_END]) * 6412)
    machine.call("bw_compile_query", machine.place(query.tobytes()), bits, idle, to)
    made = machine.read(to, 6412)
    steps, each = bits // 32, 12 + 155 + 12 + 4 * (5 - idle) + 5
    assert made[2 * steps * each :] == bytes([PAST_END]) * (6412 - 2 * steps * each)
    halfwords = np.frombuffer(made[: 2 * steps * each], "<u2").tolist()
    assert all(known(halfword) for halfword in halfwords)
    assert [place for place, halfword in enumerate(halfwords) if halfword == 0x4770 and place % each != each - 1] == [
        steps * each - 2
    ]
    assert sum((halfword & 0xF0).bit_count() for halfword in halfwords if halfword & 0xFF00 == 0xC800) == bits


SEARCH = """
import array, binascii, json, sys
import bitwren

def main():
    import machine
    sys.path.append("/rom/modules")
    native, _ = bitwren.import_native(bitwren.architecture()[0])
    with open("asked.json") as file:
        asked = json.load(file)
    size = getattr(native, "SEARCH_CODE", 6400)
    print("ANSWER " + json.dumps([hasattr(native, "SEARCH_CODE"), size]))
    for protected in PROTECTED:
        machine.mem32[0xE000ED94] = protected
        for name, bits, query, k in asked:
            for room in (size * bits // 512, size * bits // 512 - 1):
                work = bytearray(native.SEARCH_WORK + room)
                hits = array.array("I", bytes(8 * k))
                with open("tables/" + name, "rb") as source:
                    count = native.search(source, binascii.unhexlify(query), k, hits, work)
                print("ANSWER " + json.dumps([any(work[native.SEARCH_WORK:]), list(hits[: 2 * count])]))

main()
"""


def tables() -> Iterator[tuple[str, int, np.ndarray, bytes, int, list[int]]]:
    """A table's name, bits, query, bytes, k, and the distances and slots that are found."""
    for bits in WIDTHS:
        random = np.random.default_rng(bits)
        codes = make_codes(random, 420, bits, "none")
        live = random.random(len(codes)) < 0.9
        for k in (10, 70):
            query = make_codes(random, 1, bits, "none")[0]
            found = [number for pair in expected(query, codes, k, live) for number in pair]
            yield f"{bits}", bits, query, make_table(codes, live), k, found


def ask_qemu(name: str, module: bytes, protected: tuple[int, ...]) -> list[list[object]]:
    """What a board answers."""
    made = list(tables())
    files = {path: data for path, data in firmware_files(MACHINES[name].arch).items() if path != "main.py"}
    files["lib/bitwren_native.mpy"] = module
    files |= {f"tables/{label}": data for label, _, _, data, _, _ in made}
    asked = [[label, bits, query.astype("<u4").tobytes().hex(), k] for label, bits, query, _, k, _ in made]
    files |= {"asked.json": json.dumps(asked).encode(), "searching.py": SEARCH.replace("PROTECTED", repr(protected)).encode()}
    with QemuBoard(name, firmware_of(name), files, boot_timeout=60.0) as emulated:
        output = Board(name, emulated).run("searching")
    lines = [json.loads(line[7:]) for line in output.splitlines() if line.startswith("ANSWER ")]
    assert len(lines) == 1 + 2 * len(made) * len(protected), output[-2000:]
    return lines


@pytest.fixture(scope="module")
def module(make_native: Callable[..., Path]) -> Callable[[str], bytes]:
    if not (MPY_DIR / "py" / "dynruntime.mk").is_file():
        pytest.skip("MicroPython's source is not there: make micropython")
    return lambda arch: (make_native("", f"ARCH={arch}", f"MPY_DIR={MPY_DIR}") / f"bitwren_native_{arch}.mpy").read_bytes()


@pytest.mark.parametrize("name", ["qemu-m3", "qemu-m4f"])
def test_qemu(name: str, module: Callable[[str], bytes]) -> None:
    """Code is made where there is room for it, unless an MPU watches (5: on, with the default map), and hits are the same."""
    firmware_of(name)
    lines = ask_qemu(name, module(MACHINES[name].arch), (0, 5))
    assert lines[0] == [True, 6400]
    wanted = [
        [made and bits in MADE, found]
        for protected in (False, True)
        for _, bits, *_, found in tables()
        for made in (not protected, False)
    ]
    assert lines[1:] == wanted


def test_a_cortex_m7_is_left_alone(module: Callable[[str], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a data cache, so what is written is not what is fetched."""
    firmware_of("qemu-m3")
    other = dataclasses.replace(MACHINES["qemu-m3"], options=("-machine", "mps2-an500"), address=0x60000000)
    monkeypatch.setitem(qemu.MACHINES, "qemu-m3", other)
    lines = ask_qemu("qemu-m3", module("armv7m"), (0,))
    assert lines[0] == [False, 6400]
    assert lines[1:] == [[False, found] for *_, found in tables() for _ in range(2)]


ON_PICO = """
import bitwren
wren = bitwren.open("bundle")
print("COMPILES", wren.info()["compiles"], len(wren._work), wren.info()["ram"])
for k in (3, 70):
    for query in QUERIES:
        print([(hit.distance, hit.id) for hit in wren.search(query, k)], any(wren._work[-100:]))
"""


@pytest.mark.skipif(
    not (PICO_FIRMWARE.is_file() and NATIVE["armv6m"].is_file()),
    reason="the Pico's firmware or the armv6m native module is not built: make pico-firmware natmods",
)
def test_emulated_pico() -> None:
    """A table in mapped flash, in pieces of a LittleFS block: the code runs from MicroPython's heap."""
    bundle = make_bundle(documents=FROM, encoder=make_encoder(bits=512), threshold=40)
    files = bundle_bytes(bundle)
    image = pico_image(firmware_files("armv6m") | {f"bundle/{name}": data for name, data in files.items()})
    queries = ["hello world", "né Ünder 漢字"]
    with EmulatedPico(PICO_FIRMWARE, image, boot_timeout=PATIENCE) as emulated:
        board = Pico(emulated.port)
        try:
            said = board.execute(ON_PICO.replace("QUERIES", repr(queries))).splitlines()
        finally:
            board.line.close()
    assert said[0].startswith("COMPILES True 10496 ")
    assert int(said[0].split()[-1]) <= 12 << 10
    wanted = []
    for k in (3, 70):
        for query in queries:
            hits = bundle.table.search(bundle.ask([query])[0], k)
            wanted.append(f"{[(hit.distance, f'd{hit.slot}') for hit in hits]} True")
    assert said[1:] == wanted
