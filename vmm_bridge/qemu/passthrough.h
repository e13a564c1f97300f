// A running QEMU guest's passthrough devices: taken out with the guest's help, and put back.
//
// One is a PCI address of the host, for vfio-pci, or else any device that QEMU can plug while the
// guest runs, in the words of its -device. Acts on one guest follow each other in the order in
// which they were asked for.
//
// Threads: the io_context's. Part of its guest, which what is under way holds.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <set>
#include <string>
#include <vector>

#include "vmm_bridge/base/async.h"

namespace grl::bridge {

class QemuGuest;

// Whether it is one word, for QEMU's monitor too, and leaves its id to us.
bool is_qemu_device(const std::string& device);
// As QEMU's -device and device_add take it, and its id there.
std::string qemu_device_option(const std::string& device);
std::string qemu_device_id(const std::string& device);

class QemuPassthrough {
  public:
    explicit QemuPassthrough(QemuGuest& guest);

    // Those of `all` that the guest has now.
    void find(const std::vector<std::string>& all, Callback<std::vector<std::string>> done);
    // On failure some may be out, or go later, as what was asked of the guest cannot be taken back:
    // plug them again, and one that goes after that is put back when it does.
    void unplug(Callback<Done> done);
    void plug(Callback<Done> done);
    // QEMU says that the guest has let go of it.
    void on_unplugged(const std::string& id);

  private:
    void find_plugged(Callback<std::vector<std::string>> done);
    void begin_unplug(Callback<Done> done);
    void begin_plug(Callback<Done> done);
    void take_out(const std::vector<std::string>& ids, Callback<Done> done);
    void plug_next(std::vector<std::string> lacking, Callback<Done> done);
    void end_unplug(Result<Done> outcome);
    Error error(const std::string& act, const std::string& why) const;

    QemuGuest& guest_;
    Turns turns_;
    bool wanted_ = true;           // in the guest
    std::set<std::string> going_;  // ids
    Callback<Done> unplugged_;
    boost::asio::steady_timer deadline_;
};

}  // namespace grl::bridge
