# shellcheck shell=bash
# A job survives the death of a host; what it cost.

demo() { die "demo: not written yet"; }
