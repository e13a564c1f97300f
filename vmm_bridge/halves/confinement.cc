#include "vmm_bridge/halves/confinement.h"

#include <cap-ng.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace grl::bridge {

namespace {

constexpr const char* kDescriptors[] = {
    "close",   "dup",  "fcntl", "fstat",   "lseek",   "newfstatat", "poll",   "ppoll",
    "pread64", "read", "readv", "recvmsg", "sendmsg", "write",      "writev",
};
constexpr const char* kProcess[] = {
    "brk",
    "clock_gettime",
    "clock_nanosleep",
    "exit",
    "exit_group",
    "futex",
    "getegid",
    "geteuid",
    "getgid",
    "getpid",
    "getrandom",
    "gettid",
    "gettimeofday",
    "getuid",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "nanosleep",
    "prlimit64",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "sigaltstack",
    "sysinfo",
    "tgkill",
    "time",
    "uname",
};
constexpr const char* kNetwork[] = {
    "accept",          "accept4",     "bind",        "connect",        "epoll_create",
    "epoll_create1",   "epoll_ctl",   "epoll_pwait", "epoll_wait",     "eventfd2",
    "getpeername",     "getsockname", "getsockopt",  "listen",         "pipe2",
    "recvfrom",        "recvmmsg",    "select",      "pselect6",       "sendmmsg",
    "sendto",          "setsockopt",  "shutdown",    "timerfd_create", "timerfd_gettime",
    "timerfd_settime",
};
// Names are resolved by the C library, which looks into files and may load more of itself.
constexpr const char* kLooking[] = {
    "access",   "faccessat",  "getcwd", "getdents64", "lstat",
    "readlink", "readlinkat", "stat",   "statfs",     "statx",
};
// AF_NETLINK: the C library asks which addresses there are.
constexpr int kFamilies[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
constexpr unsigned long kIoctls[] = {FIONBIO, FIONREAD};

// That change the kernel, other hosts' view of it, or what belongs to all of it.
constexpr const char* kKernels[] = {
    "acct",
    "add_key",
    "adjtimex",
    "bpf",
    "clock_adjtime",
    "clock_settime",
    "create_module",
    "delete_module",
    "finit_module",
    "init_module",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "modify_ldt",
    "nfsservctl",
    "open_by_handle_at",
    "perf_event_open",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "quotactl",
    "reboot",
    "request_key",
    "sethostname",
    "setdomainname",
    "settimeofday",
    "swapoff",
    "swapon",
    "syslog",
    "uselib",
    "ustat",
    "vhangup",
};

// Taps, bridges and their packet filters, locked memory, files and processes of other users (what
// hotplug scripts and VMMs do as root), limits, priorities, and the devices of a hypervisor.
// Without CAP_SYS_PTRACE userfaultfd(2), and with it QEMU's capture in the background, is refused
// where vm.unprivileged_userfaultfd is 0; ptrace(2) itself is in the list above.
constexpr unsigned kCapabilities[] = {
    CAP_CHOWN,     CAP_DAC_OVERRIDE, CAP_FOWNER,     CAP_IPC_LOCK,     CAP_KILL,
    CAP_NET_ADMIN, CAP_NET_RAW,      CAP_SYS_PTRACE, CAP_SETGID,       CAP_SETUID,
    CAP_SETPCAP,   CAP_SYS_ADMIN,    CAP_SYS_NICE,   CAP_SYS_RESOURCE,
};

Error refused(const std::string& why) {
    return fail("confining the bridge", "", why);
}

class Filter {
  public:
    explicit Filter(std::uint32_t otherwise) : context_(seccomp_init(otherwise), seccomp_release) {
        // A program of another ABI would be killed.
        if (context_) {
            seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM));
        }
    }

    void each(std::uint32_t action, std::span<const char* const> names) {
        for (const char* name : names) {
            const int call = seccomp_syscall_resolve_name(name);
            if (call != __NR_SCMP_ERROR) rule(action, call, {});
        }
    }
    void rule(std::uint32_t action, int call, std::span<const scmp_arg_cmp> arguments) {
        // Another architecture may lack the call: then there is nothing to say of it.
        const int r =
            seccomp_rule_add_array(context_.get(), action, call,
                                   static_cast<unsigned>(arguments.size()), arguments.data());
        if (r != 0 && r != -EDOM && fault_ == 0) fault_ = -r;
    }
    Result<void> load() {
        if (!context_) return refused("no seccomp filter can be made");
        if (fault_ != 0) return refused("a rule of its filter is wrong: " + errno_text(fault_));
        const int r = seccomp_load(context_.get());
        if (r != 0) return refused("the kernel takes no seccomp filter: " + errno_text(-r));
        return {};
    }

  private:
    std::unique_ptr<void, void (*)(void*)> context_;
    int fault_ = 0;
};

}  // namespace

Result<void> confine_network_half() {
    Filter filter(SCMP_ACT_ERRNO(EPERM));
    for (std::span<const char* const> names :
         {std::span<const char* const>(kDescriptors), std::span<const char* const>(kProcess),
          std::span<const char* const>(kNetwork), std::span<const char* const>(kLooking)}) {
        filter.each(SCMP_ACT_ALLOW, names);
    }
    for (const int family : kFamilies) {
        const scmp_arg_cmp of_family[] = {SCMP_A0_32(SCMP_CMP_EQ, static_cast<unsigned>(family))};
        filter.rule(SCMP_ACT_ALLOW, SCMP_SYS(socket), of_family);
    }
    for (const unsigned long request : kIoctls) {
        const scmp_arg_cmp of_request[] = {SCMP_A1(SCMP_CMP_EQ, request)};
        filter.rule(SCMP_ACT_ALLOW, SCMP_SYS(ioctl), of_request);
    }
    constexpr unsigned kWrites = O_ACCMODE | O_CREAT | O_TRUNC;
    const scmp_arg_cmp open_reads[] = {SCMP_A1_32(SCMP_CMP_MASKED_EQ, kWrites, O_RDONLY)};
    const scmp_arg_cmp openat_reads[] = {SCMP_A2_32(SCMP_CMP_MASKED_EQ, kWrites, O_RDONLY)};
    const scmp_arg_cmp threads[] = {SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)};
    filter.rule(SCMP_ACT_ALLOW, SCMP_SYS(open), open_reads);
    filter.rule(SCMP_ACT_ALLOW, SCMP_SYS(openat), openat_reads);
    filter.rule(SCMP_ACT_ALLOW, SCMP_SYS(clone), threads);
    // Its flags cannot be seen from here; the C library then takes the older call.
    filter.rule(SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), {});
    return filter.load();
}

Result<void> confine_stream_keeper() {
    Filter filter(SCMP_ACT_ERRNO(EPERM));
    filter.each(SCMP_ACT_ALLOW, kDescriptors);
    filter.each(SCMP_ACT_ALLOW, kProcess);
    return filter.load();
}

Result<void> confine_privileged_half() {
    if (geteuid() == 0) {
        if (capng_get_caps_process() != 0) return refused("its capabilities cannot be read");
        std::vector<unsigned> kept;
        for (const unsigned c : kCapabilities) {
            if (capng_have_capability(CAPNG_PERMITTED, c)) kept.push_back(c);
        }
        capng_clear(CAPNG_SELECT_ALL);
        for (const unsigned c : kept) {
            capng_update(
                CAPNG_ADD,
                static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET),
                c);
        }
        if (capng_apply(CAPNG_SELECT_BOTH) != 0) return refused("capabilities stay as they are");
    }
    Filter filter(SCMP_ACT_ALLOW);
    filter.each(SCMP_ACT_ERRNO(EPERM), kKernels);
    return filter.load();
}

}  // namespace grl::bridge
