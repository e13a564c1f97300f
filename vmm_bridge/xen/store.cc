#include "vmm_bridge/xen/store.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdlib>

#include "grl/base/file.h"
#include "grl/base/log.h"
#include "vmm_bridge/xen/api.h"

namespace grl::bridge {

namespace {

constexpr const char* kRequest = "suspend";

}  // namespace

void CloseXenStore::operator()(xs_handle* handle) const {
    xs_close(handle);
}

std::string read_xenstore(xs_handle* store, const std::string& path) {
    unsigned length = 0;
    void* text = xs_read(store, XBT_NULL, path.c_str(), &length);
    std::string word(text ? static_cast<char*>(text) : "", text ? length : 0);
    std::free(text);
    return word;
}

// ---- a word ----

Result<std::shared_ptr<XenWord>> XenWord::open(asio::io_context& io, const std::string& path) {
    std::shared_ptr<XenWord> word(new XenWord(io, path));
    word->store_.reset(xs_open(0));
    xs_handle* store = word->store_.get();
    if (!store || !xs_watch(store, path.c_str(), "")) {
        return fail("opening xenstore", path, errno_text(errno));
    }
    word->readable_.assign(fcntl(xs_fileno(store), F_DUPFD_CLOEXEC, 0));
    return word;
}

void XenWord::watch(std::function<void()> changed) {
    changed_ = std::move(changed);
    changed_();
    wait();
}

void XenWord::wait() {
    readable_.async_wait(asio::posix::stream_descriptor::wait_read,
                         [weak = weak_from_this()](boost::system::error_code ec) {
                             auto self = weak.lock();
                             if (ec || !self) return;
                             while (char** change = xs_check_watch(self->store_.get())) {
                                 std::free(static_cast<void*>(change));
                                 self->changed_();
                             }
                             self->wait();
                         });
}

void XenWord::write(const std::string& text) {
    if (!xs_write(store_.get(), XBT_NULL, path_.c_str(), text.data(),
                  static_cast<unsigned>(text.size()))) {
        log_warning("cannot write " + path_ + ": " + errno_text(errno));
    }
}

// ---- the request to suspend ----

Result<std::shared_ptr<SuspendAnswer>> SuspendAnswer::open(asio::io_context& io,
                                                           std::uint32_t domain) {
    auto request =
        XenWord::open(io, "/local/domain/" + std::to_string(domain) + "/control/shutdown");
    if (!request) return request.error();
    std::shared_ptr<SuspendAnswer> answer(new SuspendAnswer(*request));
    (*request)->watch([weak = std::weak_ptr(answer)] {
        if (auto self = weak.lock()) self->take_away();
    });
    return answer;
}

void SuspendAnswer::take_away() {
    if (request_->read() == kRequest) request_->write("");
}

}  // namespace grl::bridge
