// A running QEMU guest's adapters: taken out with the guest's help, and put back.
//
// One is a PCI address of the host, for vfio-pci, or else any device that QEMU can plug while the
// guest runs, in the words of its -device. Acts on one guest follow each other in the order in
// which they were asked for.
//
// Threads: the io_context's.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "grl/messages/opening.h"
#include "vmm_bridge/base/async.h"
#include "vmm_bridge/qemu/guest.h"

namespace grl::bridge {

// Whether it is one word, for QEMU's monitor too, and leaves its id to us.
bool is_qemu_adapter(const std::string& adapter);
// As QEMU's -device and device_add take it, and its id there.
std::string qemu_adapter_option(const std::string& adapter);
std::string qemu_adapter_id(const std::string& adapter);

// Those of `all` that the guest has now.
void find_qemu_adapters(const std::shared_ptr<QemuGuest>& guest,
                        const std::vector<std::string>& all,
                        Callback<std::vector<std::string>> done);

class QemuAdapters : public std::enable_shared_from_this<QemuAdapters> {
  public:
    static std::shared_ptr<QemuAdapters> make(const std::shared_ptr<QemuGuest>& guest,
                                              std::vector<std::string> adapters);

    const std::vector<std::string>& names() const { return adapters_; }
    // On failure some may be out, or go later, as what was asked of the guest cannot be taken back:
    // plug them again, and one that goes after that is put back when it does.
    void unplug(Callback<Done> done);
    void plug(Callback<Done> done);

  private:
    QemuAdapters(std::shared_ptr<QemuGuest> guest, std::vector<std::string> adapters);
    void begin_unplug(Callback<Done> done);
    void begin_plug(Callback<Done> done);
    void take_out(const std::vector<std::string>& ids, Callback<Done> done);
    void plug_next(std::vector<std::string> lacking, Callback<Done> done);
    void on_unplugged(const std::string& id);
    void end_unplug(Result<Done> outcome);
    Error error(const std::string& act, const std::string& why) const;

    std::shared_ptr<QemuGuest> guest_;
    std::vector<std::string> adapters_;
    Turns turns_;
    bool wanted_ = true;           // in the guest
    std::set<std::string> going_;  // ids
    Callback<Done> unplugged_;
    asio::steady_timer deadline_;
};

}  // namespace grl::bridge
