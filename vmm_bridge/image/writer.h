// Writes one guest's image: VMM's stream → memory → zstd → checksum → file.
//
//     open ──► start ──► (stream ends, seal) ──► written: file and checksum file are durable
//                └─────► cancel, or an error ──► failed: the file is closed, torn, of no use
//
// Two threads of its own: one drains the stream into memory as fast as it comes, since the guest is
// stopped or slow until it is out; the other compresses and writes. After a failure the stream is
// drained still, to nowhere, so that the guest comes to no harm.
//
// The state is shared with the threads; the object may go at any time (that cancels).
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "grl/base/file.h"
#include "vmm_bridge/base/async.h"
#include "vmm_bridge/image/format.h"
#include "vmm_bridge/image/memory_budget.h"

namespace grl::bridge {

namespace asio = boost::asio;

struct WrittenImage {
    std::uint64_t raw_bytes = 0;
    std::uint64_t stored_bytes = 0;
    std::string digest;  // of the stored bytes
    std::int64_t durable_at_ns = 0;
};

class ImageWriter {
  public:
    struct Options {
        std::string path;
        ImageHeader header;
        int zstd_level = 1;
        // What may wait between the two threads; none: the least.
        MemoryBudget::Share memory;
    };

    // Creates the file, 0600, in place of any older one. Blocking.
    static Result<std::shared_ptr<ImageWriter>> open(asio::io_context& io, Options options);
    ~ImageWriter();

    // Once. `done` comes on the io_context's thread, also after cancel.
    void start(Fd stream, Callback<WrittenImage> done);
    // The VMM says that the stream is whole. Without it an end of the stream is no end of the
    // image.
    void seal();
    void cancel(const Error& why);

    std::uint64_t raw_bytes() const;     // so far
    std::uint64_t stored_bytes() const;  // so far

  private:
    struct State;
    explicit ImageWriter(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
};

}  // namespace grl::bridge
