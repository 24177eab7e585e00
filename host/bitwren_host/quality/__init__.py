"""What ``bitwren evaluate`` and ``bitwren compare`` show: text for a terminal, and a page with plots."""
