"""What is frozen into the Pico's firmware: the stock list, less the four drivers that come from micropython-lib."""

# MicroPython's manifest tool puts these two names here when it runs this file.
freeze("$(PORT_DIR)/modules")  # noqa: F821
include("$(MPY_DIR)/extmod/asyncio")  # noqa: F821
