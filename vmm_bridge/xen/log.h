// What libxenlight says while it works: its error lines are the reason when a call fails, and its
// progress tells how far a save is.
//
// Threads: the io_context's; libxenlight calls it inside its own functions, so nothing here calls
// back into it.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm_bridge/xen/api.h"

namespace grl::bridge {

class XenLog {
  public:
    // `what` is libxenguest's: "Frames iteration 0". Both numbers are frames of 4 KiB, holes in the
    // guest's address space among them.
    using Progress =
        std::function<void(const std::string& what, unsigned long done, unsigned long total)>;

    XenLog();
    XenLog(const XenLog&) = delete;
    XenLog& operator=(const XenLog&) = delete;

    // For libxl_ctx_alloc; lives as long as this object.
    xentoollog_logger* logger() { return &sink_; }

    void clear() { lines_.clear(); }
    void add(xentoollog_level level, int error_number, const char* context, std::string text);
    // The first errors since clear(), in one line; empty if there is none.
    std::string reason() const;
    std::string reason(int code) const;  // or, if nothing was said, of what a call returned
    bool mentions(std::string_view word) const;
    void watch_progress(Progress progress) { progress_ = std::move(progress); }

  private:
    struct Sink : xentoollog_logger {
        XenLog* log;
    };
    static void on_message(xentoollog_logger* logger, xentoollog_level level, int error_number,
                           const char* context, const char* format, va_list arguments)
        __attribute__((format(printf, 5, 0)));
    static void on_progress(xentoollog_logger* logger, const char* context, const char* what,
                            int percent, unsigned long done, unsigned long total);

    Sink sink_{};
    std::vector<std::string> lines_;
    Progress progress_;
};

// A line without the place in libxenlight's source and the domain's number, which tell an operator
// nothing: "libxl_dom.c:7:f: Domain 3:no room" → "no room".
std::string bare_xen_line(std::string text);

// Whether these words are the hypervisor's refusal to note which pages a guest writes (no shadow
// paging). libxenlight's return code is the same as for a guest that does not answer.
inline constexpr std::string_view kLogDirtyWords = "enable logdirty";

}  // namespace grl::bridge
