// The catalog on a thread of its own, so that no line waits for another's fsync. Calls run in
// order; each result comes back on the io_context's thread.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include "coordinator/engine/worker.h"
#include "coordinator/store/catalog.h"
#include "grl/base/log.h"

namespace grl::coordinator {

class Store {
  public:
    Store(boost::asio::io_context& io, std::unique_ptr<Catalog> catalog)
        : catalog_(std::move(catalog)), worker_(io) {}

    // work(Catalog&) → Result<T>; then(Result<T>).
    template <class Work, class Then>
    void run(Work work, Then then) {
        worker_.run(
            [catalog = catalog_.get(), work = std::move(work)]() mutable { return work(*catalog); },
            std::move(then));
    }
    // For what nobody waits for: a failure is said in the log.
    template <class Work>
    void note(Work work) {
        run(std::move(work), [](const auto& result) {
            if (!result) log_error(result.error().text());
        });
    }

  private:
    std::unique_ptr<Catalog> catalog_;
    Worker worker_;  // last: its thread uses the catalog
};

}  // namespace grl::coordinator
