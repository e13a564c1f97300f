# shellcheck shell=bash
# All functions of the lab. A bats file sources this one.

# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
case $VMM in
    qemu | xen) ;;
    *) die "no VMM '$VMM' (GRL_LAB_VMM or --vmm: qemu, xen)" ;;
esac
for module in "vmm_$VMM" deps build kernel xen dom0 accounts definitions image slurm \
    spaces network daemons control hosts guests natives lifecycle cargo torture torture_run torture_report demo check bench; do
    # shellcheck disable=SC1090
    source "$LAB_D/$module.sh"
done
