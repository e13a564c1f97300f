#include "vmm_bridge/image/writer.h"

#include <sys/socket.h>
#include <unistd.h>
#include <zstd.h>

#include <boost/asio/post.hpp>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "vmm_bridge/base/clock.h"
#include "vmm_bridge/image/chunk_queue.h"
#include "vmm_bridge/image/file.h"

namespace grl::bridge {

namespace {

constexpr std::size_t kChunk = 1U << 20;
constexpr std::chrono::seconds kSealLimit{60};

struct CompressorFree {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

}  // namespace

struct ImageWriter::State {
    State(asio::io_context& context, Options o, Fd fd)
        : io(context),
          options(std::move(o)),
          file(std::move(fd), options.path),
          queue(options.memory ? *options.memory : kLeastShare) {}

    asio::io_context& io;
    Options options;
    ImageFile file;
    ChunkQueue queue;
    Fd stream;
    std::atomic<std::uint64_t> raw = 0;

    std::mutex mutex;  // for what is below
    std::condition_variable verdict;
    bool started = false;
    bool sealed = false;
    std::optional<Error> failure;

    void give_up(const Error& why);
    std::optional<Error> failed();
    void drain();
    Result<WrittenImage> store();
    Result<void> compress(ZSTD_CCtx* context, std::string& packed, const Chunk* chunk);
    Result<void> wait_for_seal();
};

Result<std::shared_ptr<ImageWriter>> ImageWriter::open(asio::io_context& io, Options options) {
    Result<Fd> fd = ImageFile::create(options.path);
    if (!fd) return fd.error();
    auto state = std::make_shared<State>(io, std::move(options), std::move(*fd));
    return std::shared_ptr<ImageWriter>(new ImageWriter(std::move(state)));
}

ImageWriter::~ImageWriter() {
    cancel(fail("writing an image", state_->options.path, "it was given up"));
}

void ImageWriter::start(Fd stream, Callback<WrittenImage> done) {
    state_->started = true;
    state_->stream = std::move(stream);
    std::thread([state = state_] { state->drain(); }).detach();
    auto work = asio::make_work_guard(state_->io);
    std::thread([state = state_, work = std::move(work), done = std::move(done)]() mutable {
        Result<WrittenImage> written = state->store();
        if (!written) state->give_up(written.error());
        state->options.memory.reset();  // the object may stay for long
        asio::post(state->io, [written = std::move(written), done = std::move(done)]() mutable {
            done(std::move(written));
        });
    }).detach();
}

// The first thread: the stream into memory. After a failure it reads on and throws away.
void ImageWriter::State::drain() {
    bool wanted = true;
    for (bool more = true; more;) {
        Chunk chunk{std::make_unique_for_overwrite<char[]>(kChunk), 0};
        while (more && chunk.size < kChunk) {
            const ssize_t n =
                read(stream.get(), chunk.bytes.get() + chunk.size, kChunk - chunk.size);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) give_up(fail("reading the VMM's stream", options.path, errno_text(errno)));
            more = n > 0;
            if (more) {
                chunk.size += static_cast<std::size_t>(n);
                raw += static_cast<std::uint64_t>(n);
            }
        }
        if (wanted && chunk.size > 0) wanted = queue.push(std::move(chunk));
    }
    queue.end();
}

// The second thread: memory into the file.
Result<WrittenImage> ImageWriter::State::store() {
    std::unique_ptr<ZSTD_CCtx, CompressorFree> context(ZSTD_createCCtx());
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, options.zstd_level);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
    std::string packed(ZSTD_CStreamOutSize(), '\0');

    const std::string start = encode_image_start(options.header);
    Result<void> ok = file.append(start.data(), start.size());
    std::uint64_t raw_stored = 0;
    while (ok) {
        std::optional<Chunk> chunk = queue.pop();
        if (!chunk) break;
        raw_stored += chunk->size;
        ok = compress(context.get(), packed, &*chunk);
    }
    if (ok) ok = compress(context.get(), packed, nullptr);
    if (ok) ok = wait_for_seal();
    if (ok) {
        const std::string end = encode_image_end({raw_stored, file.size() - start.size()});
        ok = file.append(end.data(), end.size());
    }
    if (!ok) return ok.error();
    Result<std::string> digest = file.finish();
    if (!digest) return digest.error();
    return WrittenImage{raw_stored, file.size(), *digest, now_ns()};
}

// No chunk: ends the frame.
Result<void> ImageWriter::State::compress(ZSTD_CCtx* context, std::string& packed,
                                          const Chunk* chunk) {
    ZSTD_inBuffer in{chunk ? chunk->bytes.get() : nullptr, chunk ? chunk->size : 0, 0};
    const ZSTD_EndDirective directive = chunk ? ZSTD_e_continue : ZSTD_e_end;
    for (;;) {
        ZSTD_outBuffer out{packed.data(), packed.size(), 0};
        const std::size_t left = ZSTD_compressStream2(context, &out, &in, directive);
        if (ZSTD_isError(left)) {
            return fail("compressing an image", options.path, ZSTD_getErrorName(left));
        }
        if (out.pos > 0) {
            Result<void> ok = file.append(packed.data(), out.pos);
            if (!ok) return ok;
        }
        if (chunk ? in.pos == in.size : left == 0) return {};
    }
}

Result<void> ImageWriter::State::wait_for_seal() {
    std::unique_lock lock(mutex);
    verdict.wait_for(lock, kSealLimit, [&] { return sealed || failure.has_value(); });
    if (failure) return *failure;
    if (!sealed) {
        return fail("writing an image", options.path,
                    "the VMM did not say that its stream is whole");
    }
    return {};
}

void ImageWriter::seal() {
    std::lock_guard lock(state_->mutex);
    state_->sealed = true;
    state_->verdict.notify_all();
}

void ImageWriter::cancel(const Error& why) {
    state_->give_up(why);
}

void ImageWriter::State::give_up(const Error& why) {
    {
        std::lock_guard lock(mutex);
        if (!failure) failure = why;
        verdict.notify_all();
    }
    queue.close();
}

std::uint64_t ImageWriter::raw_bytes() const {
    return state_->raw.load(std::memory_order_relaxed);
}
std::uint64_t ImageWriter::stored_bytes() const {
    return state_->file.size();
}

}  // namespace grl::bridge
