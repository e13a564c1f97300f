#include "vmm_bridge/xen/save.h"

#include <boost/asio/post.hpp>

#include "grl/messages/opening.h"
#include "vmm_bridge/xen/stream.h"

namespace grl::bridge {

void XenSave::start(const std::string& act, Fd stream, Milliseconds limit, Callback<Done> done) {
    stream_ = std::move(stream);
    const bool live = !guest_->suspended();
    auto self = shared_from_this();
    auto end = [self, done = std::move(done)](Result<Done> saved) {
        self->answer_.reset();
        self->stream_.reset();
        if (!saved) {
            self->guest_->forget_request();
            self->guest_->look();
        }
        done(std::move(saved));
    };
    Result<void> ready = write_xen_head(stream_, guest_->configuration());
    if (ready && !live) {
        auto answer = SuspendAnswer::open(guest_->io(), guest_->domain());
        if (answer) {
            answer_ = std::move(*answer);
        } else {
            ready = answer.error();
        }
    }
    if (!ready) return asio::post(guest_->io(), [end, e = ready.error()] { end(e); });
    const auto saving = guest_->act(
        act, limit,
        [self, live](const libxl_asyncop_how* how) {
            return libxl_domain_suspend(self->guest_->context().get(), self->guest_->domain(),
                                        self->stream_.get(), live ? LIBXL_SUSPEND_LIVE : 0, how);
        },
        end);
    if (saving) guest_->context().await_helper(*saving);
}

}  // namespace grl::bridge
