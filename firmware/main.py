"""Starts the console of the bundle on this board. Ctrl-C there gives the REPL."""

import bitwren.console

bitwren.console.main()
