#!/bin/bash
# build-pico.sh MPY_DIR MPY_CROSS BUILD JOBS: builds BUILD/firmware.uf2, MicroPython for the Raspberry Pi Pico.
set -euo pipefail

mpy_dir=$(realpath "$1")
mpy_cross=$(realpath "$2")
build=$(realpath -m "$3")
jobs=$4
here=$(realpath "$(dirname "$0")")

# No picotool: Debian has none. MicroPython's own uf2conv.py makes the UF2 below.
options=(-DMICROPY_BOARD=RPI_PICO -DPICO_NO_PICOTOOL=1 -DPICO_BUILD_DOCS=0)
if [ ! -e "$mpy_dir/lib/micropython-lib/README.md" ]; then
    # The source has no micropython-lib, as Debian's has not, and the stock manifest wants it.
    # Any folder with a README.md satisfies CMake's check for it.
    options+=(-DMICROPY_LIB_DIR="$here" -DMICROPY_FROZEN_MANIFEST="$here/pico-manifest.py")
fi

export MICROPY_MPYCROSS=$mpy_cross
cmake -S "$mpy_dir/ports/rp2" -B "$build" "${options[@]}"
cmake --build "$build" -j "$jobs"

arm-none-eabi-objcopy -O binary "$build/firmware.elf" "$build/firmware.bin"
# The filesystem begins at 0xA0000, 640 KB into the flash, as on every stock Pico.
if [ "$(stat -c %s "$build/firmware.bin")" -gt $((640 * 1024)) ]; then
    echo "The firmware reaches into the filesystem's flash: it must stay below 640 KB." >&2
    exit 1
fi
python3 "$mpy_dir/tools/uf2conv.py" -b 0x10000000 -f RP2040 -c -o "$build/firmware.uf2" "$build/firmware.bin"
