#include "vmm_bridge/line/restoration.h"

#include <algorithm>

#include "grl/base/log.h"
#include "grl/messages/lines.h"
#include "grl/messages/opening.h"
#include "grl/messages/stored.h"
#include "vmm_bridge/base/clock.h"
#include "vmm_bridge/base/stream.h"
#include "vmm_bridge/base/worker.h"
#include "vmm_bridge/host/definitions.h"
#include "vmm_bridge/image/reader.h"

namespace grl::bridge {

namespace {

struct VerifiedImage {
    std::shared_ptr<ImageReader> image;  // the one that was checked is the one that is loaded
    GuestRestored report;
};

const ManifestGuest* named_in(const Manifest& manifest, const std::string& guest) {
    auto named = std::find_if(manifest.guests.begin(), manifest.guests.end(),
                              [&](const ManifestGuest& g) { return g.name == guest; });
    return named == manifest.guests.end() ? nullptr : &*named;
}

Result<void> check_definition(const LineStore& store, const Manifest& manifest,
                              const ManifestGuest& named, const GuestDefinition& definition) {
    if (named.definition_digest == definition_digest(definition)) return {};
    return fail("restoring guest " + named.name, store.path_of({manifest.job, manifest.line}),
                "its definition on this host differs from the one it was captured with",
                ErrorKind::refused);
}

Result<VerifiedImage> verify_one(const LineStore& store, const Manifest& manifest,
                                 const GuestDefinition& definition) {
    const std::int64_t began = monotonic_ms();
    const LineId id{manifest.job, manifest.line};
    const ManifestGuest* named = named_in(manifest, definition.name);
    if (!named) {
        return fail("restoring guest " + definition.name, store.path_of(id),
                    "it is not in this line's manifest", ErrorKind::not_found);
    }
    if (Result<void> same = check_definition(store, manifest, *named, definition); !same) {
        return same.error();
    }
    const std::string path = store.path_of(id) + "/" + named->image;
    Result<ImageReader> image = ImageReader::open(path);
    if (!image) return image.error();
    if (image->header().guest != definition.name || image->header().job != id.job ||
        image->header().line != id.line) {
        return fail("restoring guest " + definition.name, path, "it is another guest's or line's",
                    ErrorKind::protocol);
    }
    Result<void> good = image->verify(named->stored_bytes, named->digest);
    if (!good) return good.error();
    return VerifiedImage{std::make_shared<ImageReader>(std::move(*image)),
                         {definition.name, named->stored_bytes, monotonic_ms() - began, 0}};
}

// A line that cannot be read is as bad as one whose images cannot. A host that cannot load it is
// something else, and an error.
Result<GuestVerified> check_one(const LineStore& store, LineId id,
                                const GuestDefinition& definition,
                                const FreshContents& contents) {
    const std::string& guest = definition.name;
    Result<Manifest> manifest = store.read(id);
    if (!manifest) return GuestVerified{guest, false, manifest.error().text(), 0};
    const ManifestGuest* named = named_in(*manifest, guest);
    if (!named) return GuestVerified{guest, false, "it is not in the line's manifest", 0};
    if (Result<void> same = check_definition(store, *manifest, *named, definition); !same) {
        return same.error();
    }
    const std::string part = differing_part(named->contents, contents(definition));
    if (!part.empty()) {
        return fail("restoring guest " + guest, store.path_of(id),
                    "its " + part + " on this host is another than the one it ran with",
                    ErrorKind::refused);
    }
    Result<void> good = verify_image(store.path_of(id) + "/" + named->image, *manifest, *named);
    return GuestVerified{guest, good.has_value(), good ? std::string() : good.error().text(),
                         named->stored_bytes};
}

struct Restoration : std::enable_shared_from_this<Restoration> {
    Restoration(asio::io_context& i, Driver& d, const LineStore& s) : io(i), driver(d), store(s) {}

    asio::io_context& io;
    Driver& driver;
    LineStore store;
    std::vector<GuestDefinition> guests;
    std::vector<VerifiedImage> images;  // in the order of guests
    Callback<RestoredGuests> done;

    void start(LineId id) {
        auto self = shared_from_this();
        run_blocking<std::shared_ptr<Manifest>>(
            io,
            [self, id]() -> Result<std::shared_ptr<Manifest>> {
                Result<Manifest> manifest = self->store.read(id);
                if (!manifest) return manifest.error();
                return std::make_shared<Manifest>(std::move(*manifest));
            },
            [self](Result<std::shared_ptr<Manifest>> manifest) {
                if (!manifest) return self->done(manifest.error());
                self->verify_all(*manifest);
            });
    }

    void verify_all(const std::shared_ptr<Manifest>& manifest) {
        auto self = shared_from_this();
        gather<VerifiedImage>(
            guests,
            [self, manifest](const GuestDefinition& guest, Callback<VerifiedImage> one) {
                run_blocking<VerifiedImage>(
                    self->io,
                    [self, manifest, guest] { return verify_one(self->store, *manifest, guest); },
                    one);
            },
            [self](Result<std::vector<VerifiedImage>> verified) {
                if (!verified) return self->done(verified.error());
                self->images = std::move(*verified);
                self->load_all();
            });
    }

    void load_all() {
        auto self = shared_from_this();
        std::vector<std::size_t> indices(guests.size());
        for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = i;
        gather<GuestRestored>(
            indices, [self](std::size_t i, Callback<GuestRestored> one) { self->load(i, one); },
            [self](Result<std::vector<GuestRestored>> loaded) {
                if (!loaded) return self->undo(loaded.error());
                self->done(RestoredGuests{std::move(*loaded)});
            });
    }

    void load(std::size_t i, Callback<GuestRestored> one) {
        Result<StreamPair> opened = open_stream_pair();
        if (!opened) return one(opened.error());
        auto stream = std::make_shared<StreamPair>(std::move(*opened));
        const std::int64_t began = monotonic_ms();
        // Both ends must be content. The one that writes knows better what was wrong.
        const std::vector<bool> ends{true, false};
        gather_done(
            ends,
            [this, i, stream](bool writes, Callback<Done> end) {
                if (!writes) return driver.restore(guests[i], std::move(stream->vmm), end);
                run_blocking<Done>(
                    io,
                    [image = images[i].image, stream]() -> Result<Done> {
                        Fd out = std::move(stream->bridge);  // closed: the end of the stream
                        Result<void> unpacked = image->unpack(out.get());
                        if (!unpacked) return unpacked.error();
                        return Done{};
                    },
                    end);
            },
            [self = shared_from_this(), i, began, one](Result<Done> both) {
                if (!both) return one(both.error());
                GuestRestored report = self->images[i].report;
                report.loaded_ms = monotonic_ms() - began;
                one(report);
            });
    }

    // Only those that this request has brought here: verify_all refuses before the first.
    void undo(const Error& why) {
        auto self = shared_from_this();
        gather_done(
            guests,
            [self](const GuestDefinition& guest, Callback<Done> one) {
                self->driver.destroy(guest.name, one);
            },
            [self, why](Result<Done> undone) {
                if (!undone) log_error(undone.error().text());
                self->done(why);
            });
    }
};

}  // namespace

void check_images(asio::io_context& io, const LineStore& store, LineId id,
                  std::vector<GuestDefinition> guests, FreshContents contents,
                  Callback<VerifiedLine> done) {
    gather<GuestVerified>(
        guests,
        [&io, store, id, contents](const GuestDefinition& guest, Callback<GuestVerified> one) {
            run_blocking<GuestVerified>(
                io, [store, id, guest, contents] { return check_one(store, id, guest, contents); },
                one);
        },
        [done = std::move(done)](Result<std::vector<GuestVerified>> checked) {
            if (!checked) return done(checked.error());
            done(VerifiedLine{std::move(*checked)});
        });
}

void restore_guests(asio::io_context& io, Driver& driver, const LineStore& store, LineId id,
                    std::vector<GuestDefinition> guests, Callback<RestoredGuests> done) {
    auto restoration = std::make_shared<Restoration>(io, driver, store);
    restoration->guests = std::move(guests);
    restoration->done = std::move(done);
    restoration->start(id);
}

}  // namespace grl::bridge
