#include "vmm_bridge/xen/log.h"

#include <algorithm>
#include <cctype>
#include <cstdarg>
#include <cstdio>

#include "grl/base/log.h"
#include "grl/base/result.h"

namespace grl::bridge {

namespace {

constexpr std::size_t kMaxLines = 32;
constexpr std::size_t kReasonLines = 3;
constexpr std::size_t kLineBytes = 1024;

std::size_t past_digits(const std::string& text, std::size_t from) {
    while (from < text.size() && std::isdigit(static_cast<unsigned char>(text[from]))) ++from;
    return from;
}

}  // namespace

std::string bare_xen_line(std::string text) {
    const std::size_t file = text.find(".c:");
    const std::size_t space = text.find(' ');
    if (file != std::string::npos && file < space && space != std::string::npos &&
        text[space - 1] == ':') {
        text.erase(0, space + 1);
    }
    const std::string domain = "Domain ";
    if (text.starts_with(domain)) {
        const std::size_t end = past_digits(text, domain.size());
        if (end > domain.size() && end < text.size() && text[end] == ':') text.erase(0, end + 1);
    }
    return text.erase(0, std::min(text.find_first_not_of(' '), text.size()));
}

XenLog::XenLog() {
    sink_.vmessage = on_message;
    sink_.progress = on_progress;
    sink_.destroy = [](xentoollog_logger*) {};
    sink_.log = this;
}

void XenLog::on_message(xentoollog_logger* logger, xentoollog_level level, int error_number,
                        const char* context, const char* format, va_list arguments) {
    char text[kLineBytes];
    std::vsnprintf(text, sizeof text, format, arguments);
    static_cast<Sink*>(logger)->log->add(level, error_number, context, text);
}

void XenLog::on_progress(xentoollog_logger* logger, const char*, const char* what, int,
                         unsigned long done, unsigned long total) {
    XenLog& log = *static_cast<Sink*>(logger)->log;
    if (log.progress_) log.progress_(what ? what : "", done, total);
}

void XenLog::add(xentoollog_level level, int error_number, const char* context, std::string text) {
    text = bare_xen_line(std::move(text));
    if (error_number >= 0) text += ": " + errno_text(error_number);
    log_debug(std::string(context ? context : "xen") + ": " + text);
    if (level < XTL_ERROR || lines_.size() >= kMaxLines) return;
    if (std::find(lines_.begin(), lines_.end(), text) == lines_.end()) lines_.push_back(text);
}

std::string XenLog::reason() const {
    std::string reason;
    for (std::size_t i = 0; i < std::min(lines_.size(), kReasonLines); ++i) {
        reason += (i ? "; " : "") + lines_[i];
    }
    return reason;
}

std::string XenLog::reason(int code) const {
    const std::string why = reason();
    return why.empty() ? "libxenlight says " + std::to_string(code) + " and no more" : why;
}

bool XenLog::mentions(std::string_view word) const {
    return std::any_of(lines_.begin(), lines_.end(), [word](const std::string& line) {
        return line.find(word) != std::string::npos;
    });
}

}  // namespace grl::bridge
