"""The host side of bitwren: the command, the console, and boards real and emulated behind one interface."""
