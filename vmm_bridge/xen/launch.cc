// A Xen guest's beginning: created, loaded, or taken over from a bridge that is gone.
#include <boost/asio/post.hpp>

#include "grl/base/log.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/xen/guest.h"
#include "vmm_bridge/xen/stream.h"

namespace grl::bridge {

namespace {

constexpr Milliseconds kCreateLimit{120'000};
constexpr Milliseconds kDomainLoadLimit{25 * 3'600'000};  // above any deadline of the coordinator's
constexpr Milliseconds kHeadLimit{60'000};
constexpr std::uint64_t kMibInKib = 1024;
constexpr const char* kIncoming = "--incoming";
constexpr const char* kArrived = "--arrived";
constexpr const char* kMoved = "--moved";
constexpr int kStreamVersion = 2;

// What must live until libxenlight has loaded it.
struct Load {
    Load(XenConfig c, Fd s) : config(std::move(c)), stream(std::move(s)) {
        libxl_domain_restore_params_init(&parameters);
        parameters.checkpointed_stream = LIBXL_CHECKPOINTED_STREAM_NONE;
        parameters.stream_version = kStreamVersion;
    }
    ~Load() { libxl_domain_restore_params_dispose(&parameters); }
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;

    XenConfig config;
    Fd stream;
    libxl_domain_restore_params parameters{};
};

}  // namespace

// ---- what is found ----

std::vector<XenDomain> list_domains(XenContext& context) {
    std::vector<XenDomain> domains;
    int count = 0;
    libxl_dominfo* list = libxl_list_domain(context.get(), &count);
    for (int i = 0; i < count; ++i) {
        XenDomain domain;
        domain.id = list[i].domid;
        domain.uuid = text_of_uuid(list[i].uuid);
        domain.paused = list[i].paused;
        domain.shut_down = list[i].shutdown;
        domain.suspended =
            list[i].shutdown && list[i].shutdown_reason == LIBXL_SHUTDOWN_REASON_SUSPEND;
        char* name = libxl_domid_to_name(context.get(), domain.id);
        domain.name = name ? name : "";
        std::free(name);
        domains.push_back(std::move(domain));
    }
    libxl_dominfo_list_free(list, count);
    return domains;
}

std::string shutdown_text(int reason) {
    switch (reason) {
        case LIBXL_SHUTDOWN_REASON_POWEROFF:
            return "shut itself down";
        case LIBXL_SHUTDOWN_REASON_REBOOT:
            return "rebooted";
        case LIBXL_SHUTDOWN_REASON_SUSPEND:
            return "suspended";
        case LIBXL_SHUTDOWN_REASON_CRASH:
            return "crashed";
        case LIBXL_SHUTDOWN_REASON_WATCHDOG:
            return "let its watchdog expire";
        default:
            return "ended for reason " + std::to_string(reason);
    }
}

Result<XenRecord> XenGuest::left_behind(const std::string& run_dir, const std::string& guest) {
    const std::string path = run_dir + "/" + guest + ".xen";
    Result<std::string> text = read_file(path);
    if (!text) return text.error();
    boost::system::error_code ec;
    const json::value value = json::parse(*text, ec);
    if (ec) return fail("reading what the last bridge left", path, ec.message());
    Result<XenRecord> record = from_json<XenRecord>(value, "a guest's record");
    if (record && record->definition.name != guest) {
        return fail("reading what the last bridge left", path, "it is another guest's");
    }
    if (!record) return record;
    // A newer release may have left keys that this one does not know.
    Result<void> complete =
        complete_section<XenSection>(record->definition.xen, "xen", Unknown::pass);
    if (!complete) return complete.error();
    return record;
}

Result<void> XenGuest::record(const XenConfig& config) {
    return replace_file(record_path_,
                        json::serialize(to_json(XenRecord{{}, config.uuid(), definition_})));
}

// ---- start ----

Result<void> XenGuest::check_room(XenConfig& config) {
    std::uint64_t wanted_kib = 0;
    if (libxl_domain_need_memory(context_->get(), config.get(), domain_, &wanted_kib) != 0) {
        return {};  // what cannot be asked will show
    }
    const std::string fault = context_->room_fault(wanted_kib);
    if (fault.empty()) return {};
    return error("starting", fault, ErrorKind::refused);
}

void XenGuest::start(Callback<Done> done) {
    set_state(GuestState::starting);
    Result<XenConfig> made = XenConfig::of(definition_, section_, own_addresses());
    if (!made) {
        return asio::post(io(), [self = shared_from_this(), e = made.error(),
                                 done = std::move(done)] { self->undo_launch(e, done); });
    }
    create(std::make_shared<XenConfig>(std::move(*made)), std::move(done));
}

void XenGuest::create(std::shared_ptr<XenConfig> config, Callback<Done> done) {
    Result<void> ready = check_room(*config);
    if (ready) ready = record(*config);
    if (!ready) {
        return asio::post(io(), [self = shared_from_this(), e = ready.error(),
                                 done = std::move(done)] { self->undo_launch(e, done); });
    }
    domain_name_ = definition_.name;
    auto self = shared_from_this();
    act(
        "starting", kCreateLimit,
        [this, config](const libxl_asyncop_how* how) {
            return libxl_domain_create_new(context_->get(), config->get(), &domain_, how, nullptr);
        },
        [this, self, config, done](Result<Done> created) {
            if (!created) return undo_launch(created.error(), done);
            if (ending()) return undo_launch(error("starting", "it is destroyed"), done);
            await_death();
            unpause("starting", [this, self, done](Result<Done> runs) {
                if (!runs) return undo_launch(runs.error(), done);
                if (state() == GuestState::starting) set_state(GuestState::running);
                done(Done{});
            });
        });
}

void XenGuest::undo_launch(const Error& why, const Callback<Done>& done) {
    destroy([why, done](Result<Done> gone) {
        if (!gone) log_error(gone.error().text());
        done(why);
    });
}

// ---- load ----

void XenGuest::load(Fd stream, GuestState loaded_as, Callback<Done> done) {
    set_state(loaded_as == GuestState::arrived ? GuestState::arriving : GuestState::starting);
    read_xen_head(
        io(), std::move(stream), kHeadLimit,
        [this, self = shared_from_this(), loaded_as, done](Result<std::shared_ptr<XenStream>> r) {
            // Another guest of this name may have its record here by now.
            if (state() == GuestState::absent) {
                return done(r ? error("loading", "it is destroyed") : r.error());
            }
            if (!r) return undo_launch(r.error(), done);
            Result<XenConfig> config =
                XenConfig::of_saved(context_->get(), (*r)->configuration, definition_, section_);
            if (!config) return undo_launch(config.error(), done);
            build(&*config, std::move((*r)->stream), loaded_as, done);
        });
}

void XenGuest::build(XenConfig* config, Fd stream, GuestState then, Callback<Done> done) {
    Result<void> ready = ending() ? error("loading", "it is destroyed") : check_room(*config);
    if (ready) ready = record(*config);
    if (!ready) return undo_launch(ready.error(), done);
    domain_name_ = definition_.name + kIncoming;
    config->set_name(domain_name_);
    auto load = std::make_shared<Load>(std::move(*config), std::move(stream));
    const auto loading = act(
        "loading", kDomainLoadLimit,
        [this, load](const libxl_asyncop_how* how) {
            return libxl_domain_create_restore(context_->get(), load->config.get(), &domain_,
                                               load->stream.get(), -1, &load->parameters, how,
                                               nullptr);
        },
        [this, self = shared_from_this(), load, then, done](Result<Done> built) {
            load->stream.reset();
            if (!built) return undo_launch(built.error(), done);
            if (ending()) return undo_launch(error("loading", "it is destroyed"), done);
            const bool arrives = then == GuestState::arrived;
            Result<void> named = rename(definition_.name + (arrives ? kArrived : ""));
            if (!named) return undo_launch(named.error(), done);
            await_death();
            set_state(then);
            done(Done{});
        });
    if (loading) context_->await_helper(*loading);
}

// ---- adopt ----

void XenGuest::adopt(const XenDomain& found, Callback<Done> done) {
    domain_ = found.id;
    domain_name_ = found.name;
    suspended_ = found.suspended;
    const std::string& name = definition_.name;
    auto later = [this](Callback<Done> then) {
        asio::post(io(), [then = std::move(then)] { then(Done{}); });
    };
    if (found.name == name + kIncoming || (found.shut_down && !found.suspended)) {
        log_warning("guest " + name + (found.shut_down ? " has ended" : " was being loaded") +
                    " when its bridge ended: what is left of it goes");
        return destroy(std::move(done));
    }
    await_death();
    if (found.name == name + kArrived || found.name == name + kMoved) {
        const bool sent = found.name == name + kMoved;
        log_warning("guest " + name + " was on its way " + (sent ? "from" : "to") +
                    " this host when its bridge ended: it waits for the coordinator's word");
        set_state(sent ? GuestState::moved : GuestState::arrived);
        return later(std::move(done));
    }
    set_state(found.suspended || found.paused ? GuestState::paused : GuestState::running);
    if (!found.suspended) return later(std::move(done));
    log_warning("guest " + name + " was held by a line when its bridge ended: it goes on");
    resume(std::move(done));
}

}  // namespace grl::bridge
