#include "vmm_bridge/line/guest_capture.h"

#include "grl/base/log.h"
#include "grl/messages/lines.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/base/stream.h"
#include "vmm_bridge/base/worker.h"

namespace grl::bridge {

namespace {

constexpr const char* kAdaptersNote = "it has adapters, which go before it is saved";

// The one that is tried first. Where it is refused, the next: with auto all of them, else the last.
CaptureMethod first_method(const std::string& capture, bool adapters) {
    if (capture == "stop_copy" || adapters) return CaptureMethod::stop_copy;
    return capture == "live" ? CaptureMethod::live : CaptureMethod::background;
}

}  // namespace

GuestCapture::GuestCapture(asio::io_context& io, Driver& driver, Plan plan, Events events)
    : io_(io),
      driver_(driver),
      plan_(std::move(plan)),
      events_(std::move(events)),
      method_(first_method(plan_.capture, plan_.adapters)),
      note_(plan_.adapters && plan_.capture != "stop_copy" ? kAdaptersNote : ""),
      settled_(plan_.capture == kNoCapture) {}

// ---- prepare ----

void GuestCapture::prepare(Callback<Done> done) {
    if (plan_.capture == kNoCapture) return done(Done{});
    open_writer([self = shared_from_this(), done = std::move(done)](Result<Done> opened) {
        if (!opened) return done(opened);
        self->ask_driver(done);
    });
}

void GuestCapture::open_writer(Callback<Done> done) {
    ImageWriter::Options options{plan_.path, plan_.header, plan_.zstd_level, plan_.memory};
    run_blocking<std::shared_ptr<ImageWriter>>(
        io_, [&io = io_, options] { return ImageWriter::open(io, options); },
        [self = shared_from_this(), done](Result<std::shared_ptr<ImageWriter>> writer) {
            if (!writer) return done(writer.error());
            if (self->aborted_) return done(fail("opening an image", self->plan_.path, "aborted"));
            self->writer_ = *writer;
            done(Done{});
        });
}

void GuestCapture::ask_driver(Callback<Done> done) {
    driver_.prepare(guest(), method_, [self = shared_from_this(), done](Result<Done> ready) {
        const bool refused = !ready && ready.error().kind == ErrorKind::refused;
        if (!refused || self->method_ == CaptureMethod::stop_copy) return done(ready);
        self->note_ += (self->note_.empty() ? "" : "; ") + ("no " + name_of(self->method_)) +
                       " capture: " + ready.error().why;
        const bool from_best = self->method_ == CaptureMethod::background;
        self->method_ = from_best && self->plan_.capture == "auto" ? CaptureMethod::live
                                                                   : CaptureMethod::stop_copy;
        self->ask_driver(done);
    });
}

// ---- copy ----

void GuestCapture::copy(Callback<Done> done) {
    if (!copies()) return done(Done{});
    auto self = shared_from_this();
    live_ = std::make_shared<LiveCapture>(io_, driver_, guest(),
                                          [weak = weak_from_this()](const Error& why) {
                                              if (auto capture = weak.lock())
                                                  capture->retreat(why, [](Result<Done>) {});
                                          });
    Result<Fd> stream = live_->open();
    if (stream && !writer_) stream = fail("capturing guest " + guest(), "", "it was not prepared");
    if (!stream) {
        fail_image(stream.error().text());
        return done(stream.error());
    }
    start_writer(std::move(*stream));
    frozen_ = true;  // from here on the VMM may stop it by itself
    live_->copy([self, done = std::move(done)](const Result<Done>& copied) {
        copied ? done(Done{}) : self->retreat(copied.error(), done);
    });
}

// The job is not silent yet, so the guest may as well run on.
void GuestCapture::retreat(const Error& why, Callback<Done> done) {
    if (!retreat_.join(std::move(done))) return;
    auto end = [self = shared_from_this()](const Error& error) { self->retreat_.finish(error); };
    if (aborted_ || !live_) return end(why);
    give_up_method(why.why);
    free_guest([self = shared_from_this(), end, why](Result<Done> freed) {
        if (!freed) return end(freed.error());
        if (self->aborted_) return end(why);
        self->open_writer([self, end](Result<Done> opened) {
            if (!opened) return end(opened.error());
            self->ask_driver(
                [self](Result<Done> ready) { self->retreat_.finish(std::move(ready)); });
        });
    });
}

void GuestCapture::give_up_method(const std::string& why) {
    log_warning("guest " + guest() + " is captured by stop-and-copy: " + name_of(method_) +
                " capture failed: " + why);
    note_ = name_of(method_) + " capture failed: " + why;
    method_ = CaptureMethod::stop_copy;
    ++attempt_;
    streaming_ = false;
    live_.reset();
    writer_->cancel(fail("capturing guest " + guest(), "", why));
}

// ---- freeze ----

void GuestCapture::freeze(Callback<GuestFrozen> done) {
    frozen_ = true;
    Callback<std::int64_t> frozen = [self = shared_from_this(),
                                     done = std::move(done)](Result<std::int64_t> at) {
        if (!at) return done(at.error());
        done(GuestFrozen{self->guest(), *at});
    };
    if (live_) return live_->freeze(std::move(frozen));
    if (retreat_.begun()) {
        retreat_.join([self = shared_from_this(), frozen](const Result<Done>& back) {
            if (!back) return frozen(back.error());
            if (self->aborted_) {
                return frozen(fail("stopping guest " + self->guest(), "", "the line was aborted"));
            }
            self->frozen_ = true;
            self->stop(frozen);
        });
        return;
    }
    if (!copies()) return stop(std::move(frozen));
    frozen(fail("stopping guest " + guest(), "", "its memory is not out", ErrorKind::refused));
}

void GuestCapture::stop(Callback<std::int64_t> done) {
    if (!plan_.adapters || plan_.capture == kNoCapture) {
        return driver_.freeze(guest(), std::move(done));
    }
    driver_.detach_devices(guest(), [self = shared_from_this(), done](const Result<Done>& out) {
        if (!out) return done(out.error());
        if (self->aborted_) {
            return done(fail("stopping guest " + self->guest(), "", "the line was aborted"));
        }
        self->driver_.freeze(self->guest(), done);
    });
}

// ---- capture ----

void GuestCapture::capture(Callback<GuestCaptured> done) {
    if (!live_) return start_stream(std::move(done));
    live_->finish([self = shared_from_this(), done = std::move(done)](Result<std::int64_t> at) {
        self->live_.reset();
        if (!at) return done(at.error());
        self->writer_->seal();
        done(GuestCaptured{self->guest(), self->method_, *at, self->note_});
    });
}

unsigned GuestCapture::start_writer(Fd stream) {
    const unsigned attempt = ++attempt_;
    streaming_ = true;
    auto ended = written_.emplace_back(std::make_shared<Act<Done>>());
    writer_->start(std::move(stream),
                   [self = shared_from_this(), attempt, ended](Result<WrittenImage> written) {
                       if (attempt == self->attempt_) self->on_written(std::move(written));
                       ended->finish(Done{});
                   });
    return attempt;
}

void GuestCapture::start_stream(Callback<GuestCaptured> done) {
    Result<StreamPair> stream = open_stream_pair();
    if (!stream || !writer_) {
        const Error e =
            stream ? fail("capturing guest " + guest(), "", "it was not prepared") : stream.error();
        fail_image(e.text());
        return done(e);
    }
    if (plan_.keep) plan_.keep(stream->bridge.get());
    const unsigned attempt = start_writer(std::move(stream->bridge));
    auto self = shared_from_this();
    driver_.capture(
        guest(), method_, std::move(stream->vmm),
        [self, attempt, done](Result<std::int64_t> at) {
            if (attempt == self->attempt_) return self->on_cut(at, done);
            done(fail("capturing guest " + self->guest(), "", "the line was aborted"));
        },
        [self, attempt](Result<Done> outcome) {
            if (attempt == self->attempt_) self->on_finished(outcome);
        });
}

void GuestCapture::on_cut(Result<std::int64_t> at, const Callback<GuestCaptured>& done) {
    if (at) return done(GuestCaptured{guest(), method_, *at, note_});
    if (method_ == CaptureMethod::background && is_here()) return fall_back(at.error(), done);
    done(at.error());
}

// In the same line: the guest is still stopped, its state the same.
void GuestCapture::fall_back(const Error& why, Callback<GuestCaptured> done) {
    give_up_method(why.why);
    const unsigned attempt = attempt_;
    auto self = shared_from_this();
    open_writer([self, attempt, done](Result<Done> opened) {
        if (!opened) return done(opened.error());
        self->driver_.prepare(
            self->guest(), self->method_, [self, attempt, done](Result<Done> ready) {
                if (!ready) return done(ready.error());
                if (attempt == self->attempt_) return self->start_stream(done);
                done(fail("capturing guest " + self->guest(), "", "the line was aborted"));
            });
    });
}

void GuestCapture::on_finished(const Result<Done>& outcome) {
    if (outcome) return writer_->seal();
    writer_->cancel(outcome.error());
    fail_image(outcome.error().text());
}

void GuestCapture::on_written(Result<WrittenImage> written) {
    if (!written) return fail_image(written.error().text());
    writer_.reset();  // and with it the file's descriptor, which would keep a deleted image's room
    streaming_ = false;
    settled_ = true;
    plan_.memory.reset();
    events_.durable(*written);
}

void GuestCapture::fail_image(const std::string& reason) {
    if (settled_ || aborted_) return;
    streaming_ = false;
    settled_ = true;
    plan_.memory.reset();
    log_error("the image of guest " + guest() + " cannot be had: " + reason);
    events_.failed(reason);
}

LineProgress GuestCapture::progress(LineId id) const {
    return {id, guest(), writer_ ? writer_->raw_bytes() : 0, writer_ ? writer_->stored_bytes() : 0};
}

}  // namespace grl::bridge
