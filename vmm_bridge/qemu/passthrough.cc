#include "vmm_bridge/qemu/passthrough.h"

#include <algorithm>
#include <cctype>

#include "grl/base/log.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/host/passthrough.h"
#include "vmm_bridge/qemu/guest.h"

namespace grl::bridge {

namespace {

constexpr const char* kPlugged = "/machine/peripheral";  // where QEMU keeps devices with an id
constexpr const char* kIdWord = "adapter-";
constexpr Milliseconds kUnplugLimit{10'000};
constexpr Milliseconds kPlugLimit{60'000};  // all of the guest's memory is pinned for the first
constexpr std::string_view kGoing = "process of unplug";  // it was asked for before

bool contains(const std::vector<std::string>& all, const std::string& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

bool is_qemu_device(const std::string& device) {
    const bool one_word = std::ranges::all_of(device, [](unsigned char c) {
        return std::isgraph(c) && c != '"' && c != '\'' && c != '\\';
    });
    return one_word && !device.empty() && device.find(",id=") == std::string::npos;
}

std::string qemu_device_id(const std::string& device) {
    std::string id = kIdWord + device;
    for (char& c : id) {
        if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-') c = '.';
    }
    return id;
}

std::string qemu_device_option(const std::string& device) {
    const bool on_host = parse_pci_address(device).has_value();
    return (on_host ? "vfio-pci,host=" + device : device) + ",id=" + qemu_device_id(device);
}

QemuPassthrough::QemuPassthrough(QemuGuest& guest) : guest_(guest), deadline_(guest.io()) {}

Error QemuPassthrough::error(const std::string& act, const std::string& why) const {
    return fail(act + " guest " + guest_.definition().name, "", why);
}

// The ids of those that the guest has, also of such as are no longer the host's.
void QemuPassthrough::find_plugged(Callback<std::vector<std::string>> done) {
    guest_.command("qom-list", {{"path", kPlugged}}, [done](Result<json::value> reply) {
        if (!reply) return done(reply.error());
        std::vector<std::string> ids;
        for (const auto& entry : reply->is_array() ? reply->get_array() : json::array()) {
            std::string name = text_in(entry, "name");
            if (name.starts_with(kIdWord)) ids.push_back(std::move(name));
        }
        done(std::move(ids));
    });
}

void QemuPassthrough::find(const std::vector<std::string>& all,
                           Callback<std::vector<std::string>> done) {
    find_plugged([all, done](const Result<std::vector<std::string>>& ids) {
        if (!ids) return done(ids.error());
        std::vector<std::string> there;
        for (const std::string& device : all) {
            if (contains(*ids, qemu_device_id(device))) there.push_back(device);
        }
        done(std::move(there));
    });
}

// ---- out ----

void QemuPassthrough::unplug(Callback<Done> done) {
    turns_.take([this, guest = guest_.shared_from_this()](
                    Callback<Done> ended) { begin_unplug(std::move(ended)); },
                std::move(done));
}

void QemuPassthrough::begin_unplug(Callback<Done> done) {
    wanted_ = false;
    find_plugged([this, guest = guest_.shared_from_this(),
                  done](const Result<std::vector<std::string>>& ids) {
        if (!ids) return done(ids.error());
        if (ids->empty()) return done(Done{});
        take_out(*ids, done);
    });
}

// It is out when the guest has let go of it, of which QEMU tells by an event.
void QemuPassthrough::take_out(const std::vector<std::string>& ids, Callback<Done> done) {
    unplugged_ = std::move(done);
    going_.insert(ids.begin(), ids.end());
    auto guest = guest_.shared_from_this();
    deadline_.expires_after(kUnplugLimit);
    deadline_.async_wait([this, guest](boost::system::error_code ec) {
        if (ec || going_.empty()) return;
        end_unplug(
            error("taking an adapter out of", "it does not let go of " + *going_.begin()));
    });
    for (const std::string& id : ids) {
        guest_.command("device_del", {{"id", id}},
                       [this, guest](const Result<json::value>& reply) {
                           if (reply || reply.error().why.find(kGoing) != std::string::npos) return;
                           end_unplug(reply.error());
                       });
    }
}

void QemuPassthrough::on_unplugged(const std::string& id) {
    if (unplugged_) {
        going_.erase(id);
        if (going_.empty()) end_unplug(Done{});
        return;
    }
    const bool ours = std::ranges::any_of(
        guest_.own_devices(), [&](const std::string& d) { return qemu_device_id(d) == id; });
    if (!wanted_ || !ours) return;
    log_warning("guest " + guest_.definition().name + " has let go of " + id +
                " when nobody waits for that any more: it is put back");
    plug([](const Result<Done>& plugged) {
        if (!plugged) log_error(plugged.error().text());
    });
}

void QemuPassthrough::end_unplug(Result<Done> outcome) {
    auto unplugged = std::exchange(unplugged_, nullptr);
    if (!unplugged) return;
    deadline_.cancel();
    going_.clear();
    unplugged(std::move(outcome));
}

// ---- in ----

void QemuPassthrough::plug(Callback<Done> done) {
    turns_.take([this, guest = guest_.shared_from_this()](
                    Callback<Done> ended) { begin_plug(std::move(ended)); },
                std::move(done));
}

void QemuPassthrough::begin_plug(Callback<Done> done) {
    wanted_ = true;
    find(guest_.own_devices(), [this, guest = guest_.shared_from_this(),
                                done](Result<std::vector<std::string>> there) {
        if (!there) return done(there.error());
        std::vector<std::string> lacking;
        for (const std::string& device : guest_.own_devices()) {
            if (!contains(*there, device)) lacking.push_back(device);
        }
        plug_next(std::move(lacking), done);
    });
}

// By the human monitor's command, as that takes the words of -device; what it prints is an error.
void QemuPassthrough::plug_next(std::vector<std::string> lacking, Callback<Done> done) {
    if (lacking.empty()) return done(Done{});
    const std::string device = lacking.back();
    lacking.pop_back();
    guest_.command(
        "human-monitor-command", {{"command-line", "device_add " + qemu_device_option(device)}},
        kPlugLimit,
        [this, guest = guest_.shared_from_this(), lacking, device,
         done](Result<json::value> reply) {
            if (!reply) return done(reply.error());
            std::string why = reply->is_string() ? std::string(reply->get_string()) : std::string();
            why.erase(why.find_last_not_of("\r\n") + 1);
            if (why.empty()) return plug_next(lacking, done);
            done(error("giving adapter " + device + " to", why));
        });
}

}  // namespace grl::bridge
