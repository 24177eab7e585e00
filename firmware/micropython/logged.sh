#!/bin/bash
# logged.sh LOG WHAT COMMAND...: says WHAT, runs COMMAND with its output in the file LOG, and shows the file's end if it fails.
set -euo pipefail

log=$1
what=$2
shift 2

mkdir -p "$(dirname "$log")"
echo "$what"
if ! "$@" >"$log" 2>&1 </dev/null; then
    {
        echo "Failed: $what"
        echo "The last lines of $log:"
        # A compiler's command line may fill a screen by itself.
        tail -n 30 "$log" | cut -c 1-300
    } >&2
    exit 1
fi
