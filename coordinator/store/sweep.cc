#include "coordinator/store/sweep.h"

#include <algorithm>

#include "grl/base/log.h"
#include "grl/messages/lines.h"
#include "grl/messages/opening.h"
#include "grl/messages/stored.h"

namespace grl::coordinator {

namespace {

constexpr Milliseconds kListLimit{30'000};
constexpr Milliseconds kSweepLimit{30'000};
constexpr Milliseconds kRetryAfter{2'000};

}  // namespace

void Sweep::bridge_connected(const std::shared_ptr<Channel>& bridge) {
    if (reconciled_) return sweep(bridge);
    others_.push_back(bridge);
    if (!listing_) end();
}

void Sweep::when_quiet(std::function<void()> then) {
    if (reconciled_ && sweeps_ == 0) return then();
    waiting_.push_back(std::move(then));
}

void Sweep::list(const std::shared_ptr<Channel>& bridge, std::uint32_t after_job, Found found) {
    listing_ = true;
    bridge->request<LineList>(
        ListLines{after_job, directory_()}, kListLimit,
        [this, bridge, found = std::move(found)](Result<LineList> page) mutable {
            listing_ = false;
            if (!page) {
                log_error("listing the lines: " + page.error().text());
                return again(bridge);
            }
            for (const std::string& line : page->unreadable) {
                log_warning("not a line: " + line);
            }
            found.hosts.insert(found.hosts.end(), page->hosts.begin(), page->hosts.end());
            found.there.insert(found.there.end(), page->there.begin(), page->there.end());
            std::uint32_t last = 0;
            for (const json::object& object : page->manifests) {
                auto m = from_json<Manifest>(object, "a manifest");
                if (m) m = check_manifest(std::move(*m));
                if (!m) {
                    log_warning("not a line: " + m.error().text());
                    continue;
                }
                last = std::max(last, m->job);
                if (m->cluster == cluster_) found.manifests.push_back(std::move(*m));
            }
            // A page without a job to go on from would be asked for again and again.
            if (page->more && last != 0) return list(bridge, last, std::move(found));
            reconcile(bridge, std::move(found));
        });
}

void Sweep::reconcile(const std::shared_ptr<Channel>& bridge, Found found) {
    listing_ = true;
    auto work = [found = std::move(found)](Catalog& c) -> Result<Catalog::Reconciled> {
        auto learned = c.learn_places(found.hosts, found.manifests);
        if (!learned) return learned.error();
        return c.reconcile(found.manifests, found.there);
    };
    store_.run(std::move(work),
               [this, bridge](const Result<Catalog::Reconciled>& change) {
                   listing_ = false;
                   if (!change) {
                       log_error("reconciling the catalog: " + change.error().text());
                       return again(bridge);
                   }
                   for (const LineId& id : change->added) {
                       log_info("line " + std::to_string(id.job) + "/" + std::to_string(id.line) +
                                " found");
                   }
                   for (const LineId& id : change->dropped) {
                       log_warning("line " + std::to_string(id.job) + "/" +
                                   std::to_string(id.line) + " is gone from the directory");
                   }
                   reconciled_ = true;
                   sweep(bridge);
                   for (const auto& other : std::exchange(others_, {})) sweep(other);
               });
}

void Sweep::sweep(const std::shared_ptr<Channel>& bridge) {
    ++sweeps_;
    bridge->request<Done>(SweepLines{active_(), directory_()}, kSweepLimit,
                          [this, bridge](Result<Done> done) {
                              --sweeps_;
                              if (!done && bridge->is_open())
                                  log_warning("sweeping: " + done.error().text());
                              end();
                          });
}

void Sweep::again(const std::shared_ptr<Channel>& bridge) {
    if (bridge->is_open()) others_.insert(others_.begin(), bridge);
    if (others_.size() > 1) return end();
    retry_.expires_after(kRetryAfter);
    retry_.async_wait([this](const boost::system::error_code& ec) {
        if (!ec) end();
    });
}

// Whatever ended, go on: ask the next bridge, or let the lines in.
void Sweep::end() {
    if (!reconciled_) {
        while (!listing_ && !others_.empty()) {
            const auto next = others_.back();
            others_.pop_back();
            if (next->is_open()) list(next, 0, {});
        }
        return;
    }
    if (sweeps_ > 0) return;
    for (const auto& then : std::exchange(waiting_, {})) then();
}

}  // namespace grl::coordinator
