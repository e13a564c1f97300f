// One guest's part of a line, for any VMM.
//
//     idle ──prepare──► prepared ──freeze──► frozen ──capture──► captured ──► durable
//                                              │  ▲                  │
//                     the background is refused └──┘ stop-and-copy   └──────► failed (its image)
//     any ──abort──► aborted: capture cancelled, guest running, image given up
//
// One that is captured live is prepared ──copy──► copied ──freeze──► frozen (live_capture.h). If
// that fails before freeze, it is let run and prepared for stop-and-copy.
//
// Threads: the io_context's. Each act is asked for once (part.h sees to that); callbacks once.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "grl/messages/lines.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/driver.h"
#include "vmm_bridge/image/writer.h"
#include "vmm_bridge/line/live_capture.h"

namespace grl::bridge {

class GuestCapture : public std::enable_shared_from_this<GuestCapture> {
  public:
    struct Plan {
        ImageHeader header;
        std::string path;     // of its image
        std::string capture;  // auto, background, live, stop_copy, none
        int zstd_level = 1;
        bool adapters = false;  // it has passthrough devices, and goes by stop-and-copy
        MemoryBudget::Share memory;            // in which its stream may wait
        std::function<void(int stream)> keep;  // see stream_keeper.h; may be empty
    };
    struct Events {
        std::function<void(const WrittenImage&)> durable;
        std::function<void(const std::string& reason)> failed;  // its image cannot be had
    };

    GuestCapture(asio::io_context& io, Driver& driver, Plan plan, Events events);

    void prepare(Callback<Done> done);  // the directory is there
    void copy(Callback<Done> done);     // of a guest that is captured live; else nothing
    void freeze(Callback<GuestFrozen> done);
    void capture(Callback<GuestCaptured> done);
    void resume(Callback<Done> done);
    void abort(Callback<Done> done);  // the image's files stay, to be removed by the caller

    const std::string& guest() const { return plan_.header.guest; }
    bool copies() const { return method_ == CaptureMethod::live; }  // known when prepared
    bool streaming() const { return streaming_; }
    bool settled() const { return settled_; }           // durable or failed
    bool held() const { return frozen_ && is_here(); }  // by freeze, and not let go yet
    LineProgress progress(LineId id) const;

  private:
    void ask_driver(Callback<Done> done);
    void stop(Callback<std::int64_t> done);
    void open_writer(Callback<Done> done);
    void start_stream(Callback<GuestCaptured> done);
    unsigned start_writer(Fd stream);  // gives the attempt
    void on_cut(Result<std::int64_t> at, const Callback<GuestCaptured>& done);
    void on_finished(const Result<Done>& outcome);
    void fall_back(const Error& why, Callback<GuestCaptured> done);
    void retreat(const Error& why, Callback<Done> done);
    void give_up_method(const std::string& why);
    void on_written(Result<WrittenImage> written);
    void fail_image(const std::string& reason);
    void free_guest(Callback<Done> done);
    void await_writers(Callback<Done> done);
    void await_retreat(Callback<Done> done);
    bool is_here() const;

    asio::io_context& io_;
    Driver& driver_;
    Plan plan_;
    Events events_;
    CaptureMethod method_;
    std::string note_;
    std::shared_ptr<ImageWriter> writer_;
    std::shared_ptr<LiveCapture> live_;
    Act<Done> retreat_;                   // from a live capture
    std::vector<std::shared_ptr<Act<Done>>> written_;  // of each writer that was started
    unsigned attempt_ = 0;                // callbacks of an attempt that is over are passed over
    bool frozen_ = false;
    bool streaming_ = false;
    bool settled_ = false;
    bool aborted_ = false;
};

}  // namespace grl::bridge
