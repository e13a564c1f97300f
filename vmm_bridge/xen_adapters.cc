// A Xen guest's adapters: taken out with the guest's help, and put back.
#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdlib>

#include "vmm_bridge/xen_guest.h"
#include "vmm_bridge/xen_store.h"

namespace grl::bridge {

namespace {

constexpr Milliseconds kPlugLimit{20'000};
constexpr const char* kConnected = "4";  // as the front end's state

}  // namespace

void XenGuest::set_adapters(const std::vector<std::string>& adapters) {
    adapters_.clear();
    for (const std::string& adapter : adapters) {
        if (auto address = parse_pci_address(adapter)) adapters_.push_back(*address);
    }
}

bool XenGuest::is_its_adapter(const PciAddress& device) const {
    return std::ranges::find(adapters_, device) != adapters_.end();
}

std::vector<PciAddress> XenGuest::devices() {
    std::vector<PciAddress> found;
    int count = 0;
    libxl_device_pci* list = libxl_device_pci_list(context_->get(), domain_, &count);
    found.reserve(static_cast<std::size_t>(std::max(count, 0)));
    for (int i = 0; i < count; ++i) {
        found.push_back(
            {static_cast<std::uint16_t>(list[i].domain), list[i].bus, list[i].dev, list[i].func});
    }
    libxl_device_pci_list_free(list, count);
    return found;
}

void XenGuest::detach_adapters(Callback<Done> done) {
    std::vector<PciAddress> its = devices();
    std::erase_if(its, [this](const PciAddress& device) { return !is_its_adapter(device); });
    if (its.empty()) return asio::post(io(), [done = std::move(done)] { done(Done{}); });
    const std::string what = "taking an adapter out of";
    await_frontend(what, [this, self = shared_from_this(), what, its, done](Result<Done> ready) {
        if (!ready) return done(std::move(ready));
        change_devices(what, libxl_device_pci_remove, its, done);
    });
}

void XenGuest::attach_adapters(Callback<Done> done) {
    const std::vector<PciAddress> there = devices();
    std::vector<PciAddress> lacking = adapters_;
    std::erase_if(lacking, [&there](const PciAddress& device) {
        return std::ranges::find(there, device) != there.end();
    });
    if (lacking.empty()) return asio::post(io(), [done = std::move(done)] { done(Done{}); });
    const std::string what = "giving an adapter to";
    change_devices(what, libxl_device_pci_add, std::move(lacking),
                   [this, self = shared_from_this(), what, done](Result<Done> given) {
                       given ? await_frontend(what, done) : done(std::move(given));
                   });
}

// Whoever takes an adapter away from a guest that is still looking at it makes that oops.
void XenGuest::await_frontend(const std::string& what, Callback<Done> done) {
    auto state =
        XenWord::open(io(), "/local/domain/" + std::to_string(domain_) + "/device/pci/0/state");
    if (!state) return asio::post(io(), [e = state.error(), done] { done(e); });
    auto waited = std::make_shared<Act<Done>>();
    waited->join(std::move(done));
    auto limit = std::make_shared<asio::steady_timer>(io(), kPlugLimit);
    limit->async_wait([this, self = shared_from_this(), what, waited,
                       word = *state](boost::system::error_code ec) {
        if (ec) return;
        waited->finish(error(what, "it does not take it up: is xen-pcifront loaded in it?"));
    });
    std::weak_ptr<XenWord> weak = *state;
    (*state)->watch([weak, limit, waited, &io = io()] {
        auto word = weak.lock();
        if (!word || word->read() != kConnected) return;
        limit->cancel();
        asio::post(io, [waited] { waited->finish(Done{}); });
    });
}

// One after the other.
void XenGuest::change_devices(const std::string& what, PciCall call,
                              std::vector<PciAddress> devices, Callback<Done> done) {
    if (devices.empty()) return done(Done{});
    std::shared_ptr<libxl_device_pci> device(new libxl_device_pci, [](libxl_device_pci* d) {
        libxl_device_pci_dispose(d);
        delete d;
    });
    libxl_device_pci_init(device.get());
    set_pci(*device, devices.back());
    devices.pop_back();
    act(
        what, kPlugLimit,
        [this, call, device](const libxl_asyncop_how* how) {
            return call(context_->get(), domain_, device.get(), how);
        },
        [this, self = shared_from_this(), what, call, device, devices,
         done = std::move(done)](Result<Done> changed) {
            if (!changed) return done(std::move(changed));
            change_devices(what, call, devices, done);
        });
}

}  // namespace grl::bridge
