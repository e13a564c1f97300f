#include "vmm_bridge/qemu/adapters.h"

#include <algorithm>
#include <cctype>

#include "grl/base/log.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/host/adapters.h"

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

// The ids of the adapters that the guest has, also of such as are no longer the host's.
void find_plugged(const std::shared_ptr<QemuGuest>& guest,
                  Callback<std::vector<std::string>> done) {
    guest->command("qom-list", {{"path", kPlugged}}, [done](Result<json::value> reply) {
        if (!reply) return done(reply.error());
        std::vector<std::string> ids;
        for (const auto& entry : reply->is_array() ? reply->get_array() : json::array()) {
            std::string name = text_in(entry, "name");
            if (name.starts_with(kIdWord)) ids.push_back(std::move(name));
        }
        done(std::move(ids));
    });
}

}  // namespace

bool is_qemu_adapter(const std::string& adapter) {
    const bool one_word = std::ranges::all_of(adapter, [](unsigned char c) {
        return std::isgraph(c) && c != '"' && c != '\'' && c != '\\';
    });
    return one_word && !adapter.empty() && adapter.find(",id=") == std::string::npos;
}

std::string qemu_adapter_id(const std::string& adapter) {
    std::string id = kIdWord + adapter;
    for (char& c : id) {
        if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-') c = '.';
    }
    return id;
}

std::string qemu_adapter_option(const std::string& adapter) {
    const bool on_host = parse_pci_address(adapter).has_value();
    return (on_host ? "vfio-pci,host=" + adapter : adapter) + ",id=" + qemu_adapter_id(adapter);
}

void find_qemu_adapters(const std::shared_ptr<QemuGuest>& guest,
                        const std::vector<std::string>& all,
                        Callback<std::vector<std::string>> done) {
    find_plugged(guest, [all, done](const Result<std::vector<std::string>>& ids) {
        if (!ids) return done(ids.error());
        std::vector<std::string> there;
        for (const std::string& adapter : all) {
            if (contains(*ids, qemu_adapter_id(adapter))) there.push_back(adapter);
        }
        done(std::move(there));
    });
}

QemuAdapters::QemuAdapters(std::shared_ptr<QemuGuest> guest, std::vector<std::string> adapters)
    : guest_(std::move(guest)), adapters_(std::move(adapters)), deadline_(guest_->io()) {}

std::shared_ptr<QemuAdapters> QemuAdapters::make(const std::shared_ptr<QemuGuest>& guest,
                                                 std::vector<std::string> adapters) {
    std::shared_ptr<QemuAdapters> made(new QemuAdapters(guest, std::move(adapters)));
    guest->watch_unplugs([weak = std::weak_ptr(made)](const std::string& id) {
        if (auto self = weak.lock()) self->on_unplugged(id);
    });
    return made;
}

Error QemuAdapters::error(const std::string& act, const std::string& why) const {
    return fail(act + " guest " + guest_->definition().name, "", why);
}

// ---- out ----

void QemuAdapters::unplug(Callback<Done> done) {
    turns_.take([self = shared_from_this()](Callback<Done> ended) { self->begin_unplug(ended); },
                std::move(done));
}

void QemuAdapters::begin_unplug(Callback<Done> done) {
    wanted_ = false;
    find_plugged(guest_,
                 [self = shared_from_this(), done](const Result<std::vector<std::string>>& ids) {
                     if (!ids) return done(ids.error());
                     if (ids->empty()) return done(Done{});
                     self->take_out(*ids, done);
                 });
}

// It is out when the guest has let go of it, of which QEMU tells by an event.
void QemuAdapters::take_out(const std::vector<std::string>& ids, Callback<Done> done) {
    unplugged_ = std::move(done);
    going_.insert(ids.begin(), ids.end());
    auto self = shared_from_this();
    deadline_.expires_after(kUnplugLimit);
    deadline_.async_wait([self](boost::system::error_code ec) {
        if (ec || self->going_.empty()) return;
        self->end_unplug(self->error("taking an adapter out of",
                                     "it does not let go of " + *self->going_.begin()));
    });
    for (const std::string& id : ids) {
        guest_->command("device_del", {{"id", id}}, [self](const Result<json::value>& reply) {
            if (reply || reply.error().why.find(kGoing) != std::string::npos) return;
            self->end_unplug(reply.error());
        });
    }
}

void QemuAdapters::on_unplugged(const std::string& id) {
    if (unplugged_) {
        going_.erase(id);
        if (going_.empty()) end_unplug(Done{});
        return;
    }
    const bool ours = std::ranges::any_of(
        adapters_, [&](const std::string& adapter) { return qemu_adapter_id(adapter) == id; });
    if (!wanted_ || !ours) return;
    log_warning("guest " + guest_->definition().name + " has let go of " + id +
                " when nobody waits for that any more: it is put back");
    plug([](const Result<Done>& plugged) {
        if (!plugged) log_error(plugged.error().text());
    });
}

void QemuAdapters::end_unplug(Result<Done> outcome) {
    auto unplugged = std::exchange(unplugged_, nullptr);
    if (!unplugged) return;
    deadline_.cancel();
    going_.clear();
    unplugged(std::move(outcome));
}

// ---- in ----

void QemuAdapters::plug(Callback<Done> done) {
    turns_.take([self = shared_from_this()](Callback<Done> ended) { self->begin_plug(ended); },
                std::move(done));
}

void QemuAdapters::begin_plug(Callback<Done> done) {
    wanted_ = true;
    find_qemu_adapters(guest_, adapters_,
                       [self = shared_from_this(), done](Result<std::vector<std::string>> there) {
                           if (!there) return done(there.error());
                           std::vector<std::string> lacking;
                           for (const std::string& adapter : self->adapters_) {
                               if (!contains(*there, adapter)) lacking.push_back(adapter);
                           }
                           self->plug_next(std::move(lacking), done);
                       });
}

// By the human monitor's command, as that takes the words of -device; what it prints is an error.
void QemuAdapters::plug_next(std::vector<std::string> lacking, Callback<Done> done) {
    if (lacking.empty()) return done(Done{});
    const std::string adapter = lacking.back();
    lacking.pop_back();
    guest_->command(
        "human-monitor-command", {{"command-line", "device_add " + qemu_adapter_option(adapter)}},
        kPlugLimit, [self = shared_from_this(), lacking, adapter, done](Result<json::value> reply) {
            if (!reply) return done(reply.error());
            std::string why = reply->is_string() ? std::string(reply->get_string()) : std::string();
            why.erase(why.find_last_not_of("\r\n") + 1);
            if (why.empty()) return self->plug_next(lacking, done);
            done(self->error("giving adapter " + adapter + " to", why));
        });
}

}  // namespace grl::bridge
