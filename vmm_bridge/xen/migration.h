// A running Xen guest's way to another host.
//
//     live:  copying ── first pass nearly over ─► copied ── few pages left, or the fifth pass ─►
//            stopped ─► finished
//     else:  copied ── converge ─► stopped ─► its memory ─► finished
//     any ── fails, cancelled, deadline ──► finished with the error
//
// libxenlight makes up to five passes and stops the guest by itself. It is `copied` shortly before
// the end of the first: whoever holds the stream back from there on has the other passes, which
// take only what was written meanwhile, when the job is silent. If all that fits into the stream,
// libxenlight's helper still has to ask for the stop, and is not heard before converge(). Where the
// hypervisor cannot note what the guest writes, all of its memory goes while it stands still; the
// log says so.
//
// Threads: the io_context's.
#pragma once

#include <memory>

#include "grl/messages/opening.h"
#include "vmm_bridge/driver.h"
#include "vmm_bridge/xen/save.h"

namespace grl::bridge {

// Of 4 KiB each. Holes in the guest's address space count, too; without any data in the stream they
// take libxenlight time, which must not be the silent job's.
bool nearly_copied(unsigned long frames_done, unsigned long frames);

class XenMigration : public std::enable_shared_from_this<XenMigration> {
  public:
    XenMigration(std::shared_ptr<XenGuest> guest, MigrateOut events);

    void start(Fd stream);
    void converge();
    // Done when nothing of it is under way; `finished` comes all the same.
    void cancel(Callback<Done> done);
    MigrationFacts facts() const;

  private:
    void send();
    void on_progress(const std::string& what, unsigned long done, unsigned long total);
    void copied();
    void sent(const Result<Done>& saved);
    void end(Result<std::int64_t> outcome);

    std::shared_ptr<XenGuest> guest_;
    MigrateOut events_;
    Fd stream_;
    bool live_ = false;
    bool sending_ = false;
    bool copied_ = false;
    bool ended_ = false;
    bool cancelled_ = false;
    std::uint32_t pass_ = 0;
    std::uint64_t frames_left_ = 0;
};

}  // namespace grl::bridge
