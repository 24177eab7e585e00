"""Simulated times of one query on the emulated Pico with each engine:  python tests/time_engines.py BUNDLE"""

from __future__ import annotations

import sys
from pathlib import Path

from test_pico_console import PATIENCE, PICO_FIRMWARE, Board

from bitwren_host.board_files import bundle_files, firmware_files
from bitwren_host.emulator import EmulatedPico, pico_image

SCRIPT = """
import bitwren, gc, time
from array import array

def timed(call):
    gc.collect()
    began = time.ticks_us()
    result = call()
    return time.ticks_diff(time.ticks_us(), began) / 1000, result

text = b"my board does not show up on the serial port"
hits = array("I", bytes(24))
bitwren.open("bundle")
print("simulated ms: engine, open, a query of 44 bytes, of it the table; bytes of RAM; hits")
for engine in ("native", "viper", "python"):
    opening, wren = timed(lambda: bitwren.open("bundle", engine=engine))
    query, found = timed(lambda: wren.search(text))
    search, _ = timed(lambda: wren._native.search(wren._table.source, wren._code, 3, hits, wren._work))
    print(engine, opening, query, search, wren.info()["ram"], [(hit.id, hit.distance) for hit in found])
    wren = found = None
"""


def main(bundle: Path) -> None:
    """Print a line for each engine. Minutes: a simulated second takes twenty."""
    image = pico_image(firmware_files("armv6m") | bundle_files(bundle))
    with EmulatedPico(PICO_FIRMWARE, image, boot_timeout=PATIENCE) as pico:
        board = Board(pico.port)
        print(board.execute(SCRIPT))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
