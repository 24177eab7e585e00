"""bitwren: semantic lookup on a microcontroller. This package is the toolchain and the readable reference."""

__version__ = "0.1.0"
