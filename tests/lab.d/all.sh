# shellcheck shell=bash
# All functions of the lab. A bats file sources this one.

# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
for module in deps build kernel accounts definitions image slurm \
    spaces network daemons control hosts guests natives lifecycle cargo torture torture_run torture_report demo check bench; do
    # shellcheck disable=SC1090
    source "$LAB_D/$module.sh"
done
