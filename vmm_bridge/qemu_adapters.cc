#include "vmm_bridge/qemu_adapters.h"

#include <algorithm>
#include <cctype>

#include "vmm_bridge/adapters.h"

namespace grl::bridge {

namespace {

constexpr const char* kPlugged = "/machine/peripheral";  // where QEMU keeps devices with an id
constexpr Milliseconds kUnplugLimit{10'000};
constexpr std::string_view kGoing = "process of unplug";  // it was asked for before

bool contains(const std::vector<std::string>& all, const std::string& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

std::string qemu_adapter_id(const std::string& adapter) {
    std::string id = "adapter-" + adapter;
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
    guest->command("qom-list", {{"path", kPlugged}}, [all, done](Result<json::value> reply) {
        if (!reply) return done(reply.error());
        std::vector<std::string> ids;
        for (const auto& entry : reply->is_array() ? reply->get_array() : json::array()) {
            ids.push_back(text_in(entry, "name"));
        }
        std::vector<std::string> there;
        for (const std::string& adapter : all) {
            if (contains(ids, qemu_adapter_id(adapter))) there.push_back(adapter);
        }
        done(std::move(there));
    });
}

QemuAdapters::QemuAdapters(std::shared_ptr<QemuGuest> guest, std::vector<std::string> adapters)
    : guest_(std::move(guest)), adapters_(std::move(adapters)), deadline_(guest_->io()) {}

Error QemuAdapters::error(const std::string& act, const std::string& why) const {
    return fail(act + " guest " + guest_->definition().name, "", why);
}

void QemuAdapters::in_turn(Work work, Callback<Done> done) {
    auto mine = std::make_shared<Act<Done>>();
    mine->join(std::move(done));
    const auto earlier = std::exchange(latest_, mine);
    auto begin = [self = shared_from_this(), work, mine](const Result<Done>&) {
        (self.get()->*work)([mine](Result<Done> ended) { mine->finish(std::move(ended)); });
    };
    earlier ? (void)earlier->join(begin) : begin(Done{});
}

// ---- out ----

void QemuAdapters::unplug(Callback<Done> done) {
    in_turn(&QemuAdapters::begin_unplug, std::move(done));
}

void QemuAdapters::begin_unplug(Callback<Done> done) {
    find_qemu_adapters(guest_, adapters_,
                       [self = shared_from_this(), done](Result<std::vector<std::string>> there) {
                           if (!there) return done(there.error());
                           if (there->empty()) return done(Done{});
                           self->take_out(*there, done);
                       });
}

// It is out when the guest has let go of it, of which QEMU tells by an event.
void QemuAdapters::take_out(const std::vector<std::string>& plugged, Callback<Done> done) {
    unplugged_ = std::move(done);
    for (const std::string& adapter : plugged) going_.insert(qemu_adapter_id(adapter));
    auto self = shared_from_this();
    deadline_.expires_after(kUnplugLimit);
    deadline_.async_wait([self](boost::system::error_code ec) {
        if (ec) return;
        self->end_unplug(self->error("taking an adapter out of",
                                     "it does not let go of " + *self->going_.begin()));
    });
    guest_->watch([self](const Result<QmpEvent>& event) {
        if (!event) return self->end_unplug(event.error());
        if (event->name != "DEVICE_DELETED") return;
        self->going_.erase(text_in(event->data, "device"));
        if (self->going_.empty()) self->end_unplug(Done{});
    });
    for (const std::string& id : std::set<std::string>(going_)) {
        guest_->command("device_del", {{"id", id}}, [self](const Result<json::value>& reply) {
            if (reply || reply.error().why.find(kGoing) != std::string::npos) return;
            self->end_unplug(reply.error());
        });
    }
}

void QemuAdapters::end_unplug(Result<Done> outcome) {
    auto unplugged = std::exchange(unplugged_, nullptr);
    if (!unplugged) return;
    auto self = shared_from_this();  // the watcher may be the last that holds it
    deadline_.cancel();
    guest_->watch({});
    going_.clear();
    unplugged(std::move(outcome));
}

// ---- in ----

void QemuAdapters::plug(Callback<Done> done) {
    in_turn(&QemuAdapters::begin_plug, std::move(done));
}

void QemuAdapters::begin_plug(Callback<Done> done) {
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
        [self = shared_from_this(), lacking, adapter, done](Result<json::value> reply) {
            if (!reply) return done(reply.error());
            std::string why = reply->is_string() ? std::string(reply->get_string()) : std::string();
            why.erase(why.find_last_not_of("\r\n") + 1);
            if (why.empty()) return self->plug_next(lacking, done);
            done(self->error("giving adapter " + adapter + " to", why));
        });
}

}  // namespace grl::bridge
