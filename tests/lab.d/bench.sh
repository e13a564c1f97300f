# shellcheck shell=bash
# Measurements in the lab.

bench() { die "bench: not written yet"; }
