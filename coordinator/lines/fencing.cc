#include "coordinator/lines/fencing.h"

#include "coordinator/engine/program.h"
#include "grl/base/log.h"

namespace grl::coordinator {

void host_is_off(Hosts& hosts, Store& store, const std::string& host) {
    if (!hosts.mark_fenced(host)) return;
    store.note([host](Catalog& c) { return c.put_fenced(host); });
}

void fence_host(const Parts& parts, const std::string& host,
                std::function<void(Result<void>)> done) {
    const Milliseconds limit(parts.config.deadlines.fence_ms);
    log_info("fencing host " + host);
    run_program(parts.io, {parts.config.coordinator.fence_program, host}, limit,
                [hosts = &parts.hosts, store = &parts.store, host,
                 done = std::move(done)](const Result<void>& off) {
                    if (off) host_is_off(*hosts, *store, host);
                    done(off);
                });
}

}  // namespace grl::coordinator
