// A Xen guest's passthrough devices: taken out with the guest's help, and put back.
#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include "grl/messages/opening.h"
#include "vmm_bridge/base/worker.h"
#include "vmm_bridge/xen/guest.h"
#include "vmm_bridge/xen/store.h"

namespace grl::bridge {

namespace {

constexpr Milliseconds kFrontendLimit{20'000};
constexpr const char* kConnected = "4";  // as the front end's state
constexpr const char* kClosing = "5";    // as one device's state, with the back end
constexpr const char* kClosed = "6";

// libxenlight waits for the guest in these calls, with a limit of its own (10 s, twice), so they
// are a thread's, with a context of its own. No child is needed for a paravirtual guest.
class PciSession {
  public:
    explicit PciSession(std::uint32_t domain) : domain_(domain) {}
    ~PciSession() {
        if (ctx_) libxl_ctx_free(ctx_);
    }
    PciSession(const PciSession&) = delete;
    PciSession& operator=(const PciSession&) = delete;

    Result<Done> take_out(const std::vector<PciAddress>& devices);
    Result<Done> give(const std::vector<PciAddress>& devices);

  private:
    using Call = int (*)(libxl_ctx*, std::uint32_t, libxl_device_pci*, const libxl_asyncop_how*);
    Result<Done> open();
    Result<Done> change(const std::string& what, const PciAddress& device, Call call);
    Result<Done> take_out(const PciAddress& device);
    bool has(const PciAddress& device);
    bool half_out(const PciAddress& device);
    std::string read(const std::string& word) const;

    std::uint32_t domain_;
    XenLog log_;
    libxl_ctx* ctx_ = nullptr;
    std::unique_ptr<xs_handle, CloseXenStore> store_;
};

std::vector<PciAddress> devices_of(libxl_ctx* ctx, std::uint32_t domain) {
    std::vector<PciAddress> found;
    int count = 0;
    libxl_device_pci* list = libxl_device_pci_list(ctx, domain, &count);
    found.reserve(static_cast<std::size_t>(std::max(count, 0)));
    for (int i = 0; i < count; ++i) {
        found.push_back(
            {static_cast<std::uint16_t>(list[i].domain), list[i].bus, list[i].dev, list[i].func});
    }
    libxl_device_pci_list_free(list, count);
    return found;
}

Result<Done> PciSession::open() {
    store_.reset(xs_open(0));
    if (store_ && libxl_ctx_alloc(&ctx_, LIBXL_VERSION, 0, log_.logger()) == 0) return Done{};
    ctx_ = nullptr;
    return fail("opening the hypervisor", "", store_ ? log_.reason() : errno_text(errno));
}

Result<Done> PciSession::take_out(const std::vector<PciAddress>& devices) {
    Result<Done> done = open();
    for (std::size_t i = 0; done && i < devices.size(); ++i) done = take_out(devices[i]);
    return done;
}

// It is still there after a removal that has succeeded, if the guest has not answered.
Result<Done> PciSession::take_out(const PciAddress& device) {
    Result<Done> removed = change("taking out", device, libxl_device_pci_remove);
    if (!removed || !has(device)) return removed;
    return fail("taking out adapter " + text_of(device), "", "the guest does not let go of it");
}

Result<Done> PciSession::give(const std::vector<PciAddress>& devices) {
    Result<Done> done = open();
    // The back end takes nothing as long as it waits for the guest to let go of one.
    for (std::size_t i = 0; done && i < devices.size(); ++i) {
        if (half_out(devices[i])) done = take_out(devices[i]);
    }
    for (std::size_t i = 0; done && i < devices.size(); ++i) {
        if (!has(devices[i])) done = change("giving", devices[i], libxl_device_pci_add);
    }
    return done;
}

Result<Done> PciSession::change(const std::string& what, const PciAddress& address, Call call) {
    libxl_device_pci device;
    libxl_device_pci_init(&device);
    set_pci(device, address);
    log_.clear();
    const int code = call(ctx_, domain_, &device, nullptr);
    libxl_device_pci_dispose(&device);
    if (code == 0) return Done{};
    return fail(what + " adapter " + text_of(address), "", log_.reason(code));
}

bool PciSession::has(const PciAddress& device) {
    const auto there = devices_of(ctx_, domain_);
    return std::ranges::find(there, device) != there.end();
}

// Taken from the guest, which has not let go of it.
bool PciSession::half_out(const PciAddress& device) {
    const long count = std::strtol(read("num_devs").c_str(), nullptr, 10);
    for (long i = 0; i < count; ++i) {
        if (read("dev-" + std::to_string(i)) != text_of(device)) continue;
        const std::string state = read("state-" + std::to_string(i));
        return state == kClosing || state == kClosed;
    }
    return false;
}

std::string PciSession::read(const std::string& word) const {
    return read_xenstore(store_.get(),
                         "/local/domain/0/backend/pci/" + std::to_string(domain_) + "/0/" + word);
}

}  // namespace

std::vector<PciAddress> XenGuest::own_addresses() const {
    std::vector<PciAddress> addresses;
    for (const std::string& device : own_devices()) {
        if (auto address = parse_pci_address(device)) addresses.push_back(*address);
    }
    return addresses;
}

void XenGuest::find_devices(const std::vector<std::string>& all,
                            Callback<std::vector<std::string>> done) {
    const std::vector<PciAddress> there = devices();
    std::vector<std::string> its;
    for (const std::string& device : all) {
        const auto address = parse_pci_address(device);
        if (address && std::ranges::find(there, *address) != there.end()) its.push_back(device);
    }
    done(std::move(its));
}

std::vector<PciAddress> XenGuest::devices() {
    return devices_of(context_->get(), domain_);
}

void XenGuest::detach_devices(Callback<Done> done) {
    turns_.take([self = shared_from_this()](Callback<Done> ended) { self->begin_detach(ended); },
                std::move(done));
}

void XenGuest::begin_detach(Callback<Done> done) {
    if (ends()) return done(error("taking the adapters out of", "it ends"));
    std::vector<PciAddress> its = devices();
    std::erase_if(its, [own = own_addresses()](const PciAddress& device) {
        return std::ranges::find(own, device) == own.end();
    });
    if (its.empty()) return asio::post(io(), [done = std::move(done)] { done(Done{}); });
    await_frontend([this, self = shared_from_this(), its, done](Result<Done> ready) {
        if (!ready) return done(std::move(ready));
        run_blocking<Done>(
            io(), [domain = domain_, its] { return PciSession(domain).take_out(its); }, done);
    });
}

void XenGuest::attach_devices(Callback<Done> done) {
    turns_.take([self = shared_from_this()](Callback<Done> ended) { self->begin_attach(ended); },
                std::move(done));
}

void XenGuest::begin_attach(Callback<Done> done) {
    if (ends()) return done(error("giving its adapters to", "it ends"));
    if (own_devices().empty()) return asio::post(io(), [done = std::move(done)] { done(Done{}); });
    run_blocking<Done>(
        io(), [domain = domain_, its = own_addresses()] { return PciSession(domain).give(its); },
        [this, self = shared_from_this(), done](Result<Done> given) {
            given ? await_frontend(done) : done(std::move(given));
        });
}

// Whoever takes a device away from a guest that is still looking at it makes that oops.
void XenGuest::await_frontend(Callback<Done> done) {
    auto state =
        XenWord::open(io(), "/local/domain/" + std::to_string(domain_) + "/device/pci/0/state");
    if (!state) return asio::post(io(), [e = state.error(), done] { done(e); });
    auto waited = std::make_shared<Act<Done>>();
    waited->join(std::move(done));
    frontend_ = waited;
    auto limit = std::make_shared<asio::steady_timer>(io(), kFrontendLimit);
    limit->async_wait(
        [this, self = shared_from_this(), waited, word = *state](boost::system::error_code ec) {
            if (ec) return;
            waited->finish(error("looking at the adapters of",
                                 "it does not take them up: is xen-pcifront loaded in it?"));
        });
    std::weak_ptr<XenWord> weak = *state;
    (*state)->watch([weak, limit, waited, &io = io()] {
        auto word = weak.lock();
        if (!word || word->read() != kConnected) return;
        limit->cancel();
        asio::post(io, [waited] { waited->finish(Done{}); });
    });
}

}  // namespace grl::bridge
