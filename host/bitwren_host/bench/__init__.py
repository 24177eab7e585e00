"""What a search costs on a chip, counted on the real machine code in an emulator: see docs/performance.md."""
