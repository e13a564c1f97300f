#include "vmm_bridge/xen_store.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "grl/file.h"
#include "grl/log.h"
#include "vmm_bridge/xen_api.h"

namespace grl::bridge {

namespace {

constexpr const char* kRequest = "suspend";

}  // namespace

void SuspendAnswer::Close::operator()(xs_handle* handle) const {
    xs_close(handle);
}

Result<std::shared_ptr<SuspendAnswer>> SuspendAnswer::open(asio::io_context& io,
                                                           std::uint32_t domain) {
    std::shared_ptr<SuspendAnswer> answer(new SuspendAnswer(io));
    answer->path_ = "/local/domain/" + std::to_string(domain) + "/control/shutdown";
    answer->store_.reset(xs_open(0));
    xs_handle* store = answer->store_.get();
    if (!store || !xs_watch(store, answer->path_.c_str(), kRequest)) {
        return fail("opening xenstore", answer->path_, errno_text(errno));
    }
    answer->readable_.assign(fcntl(xs_fileno(store), F_DUPFD_CLOEXEC, 0));
    answer->wait();
    return answer;
}

void SuspendAnswer::wait() {
    readable_.async_wait(asio::posix::stream_descriptor::wait_read,
                         [weak = weak_from_this()](boost::system::error_code ec) {
                             auto self = weak.lock();
                             if (ec || !self) return;
                             while (char** change = xs_check_watch(self->store_.get())) {
                                 std::free(static_cast<void*>(change));
                                 self->take_away();
                             }
                             self->wait();
                         });
}

void SuspendAnswer::take_away() {
    unsigned length = 0;
    void* word = xs_read(store_.get(), XBT_NULL, path_.c_str(), &length);
    const bool asked = word && std::strcmp(static_cast<char*>(word), kRequest) == 0;
    std::free(word);
    if (asked && !xs_write(store_.get(), XBT_NULL, path_.c_str(), "", 0)) {
        log_warning("cannot write " + path_ + ": " + errno_text(errno));
    }
}

}  // namespace grl::bridge
