#include "coordinator/engine/run.h"

namespace grl::coordinator {

void Run::leave_state() {
    ++epoch_;
    awaited_.clear();
    deadline_.cancel();
    limit_ = Milliseconds(0);
}

void Run::arm(Milliseconds limit) {
    limit_ = limit;
    after(limit + kGrace, [this] { late(late_text()); });
}

void Run::after(Milliseconds time, std::function<void()> then) {
    deadline_.expires_after(time);
    deadline_.async_wait(here([then = std::move(then)](const boost::system::error_code& ec) {
        if (!ec) then();
    }));
}

void Run::answered(const std::string& who) {
    awaited_.erase(who);
    if (awaited_.empty()) all_answered();
}

std::string Run::awaited_names() const {
    std::string list;
    for (const std::string& who : awaited_) list += (list.empty() ? "" : ", ") + who;
    return list;
}

}  // namespace grl::coordinator
