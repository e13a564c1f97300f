#include "vmm_bridge/image/reader.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "vmm_bridge/base/digest.h"

namespace grl::bridge {

namespace {

constexpr std::size_t kStep = 1U << 20;  // bytes read or unpacked at a time

struct DecompressorFree {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

int send_all(int stream, const char* bytes, std::size_t count) {
    while (count > 0) {
        const ssize_t n = send(stream, bytes, count, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        bytes += n;
        count -= static_cast<std::size_t>(n);
    }
    return 0;
}

}  // namespace

Error ImageReader::error(const std::string& act, const std::string& why) const {
    return fail(act, path_, why, ErrorKind::protocol);
}

Result<ImageReader> ImageReader::open(const std::string& path) {
    Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd) {
        return fail("opening an image", path, errno_text(errno),
                    errno == ENOENT ? ErrorKind::not_found : ErrorKind::failed);
    }
    ImageReader reader(std::move(fd), path);
    Result<void> ok = reader.read_start_and_end();
    if (ok) return reader;
    Error e = ok.error();
    e.where = path;
    return e;
}

Result<void> ImageReader::read_start_and_end() {
    struct stat info {};
    if (fstat(fd_.get(), &info) != 0) return error("reading an image", errno_text(errno));
    size_ = static_cast<std::uint64_t>(info.st_size);
    if (!S_ISREG(info.st_mode)) return error("reading an image", "it is no regular file");
    if (size_ < kImageFixedStart + kImageEnd) return error("reading an image", "it is torn");

    std::string bytes(kImageFixedStart, '\0');
    Result<void> ok = read_at(0, bytes.data(), bytes.size());
    if (!ok) return ok;
    Result<std::uint32_t> length = decode_fixed_start(bytes);
    if (!length) return length.error();
    data_offset_ = kImageFixedStart + *length;
    if (data_offset_ + kImageEnd > size_) return error("reading an image", "it is torn");

    bytes.assign(*length, '\0');
    ok = read_at(kImageFixedStart, bytes.data(), bytes.size());
    if (!ok) return ok;
    Result<ImageHeader> header = decode_image_header(bytes);
    if (!header) return header.error();
    header_ = std::move(*header);

    bytes.assign(kImageEnd, '\0');
    ok = read_at(size_ - kImageEnd, bytes.data(), bytes.size());
    if (!ok) return ok;
    Result<ImageEnd> end = decode_image_end(bytes);
    if (!end) return end.error();
    end_ = *end;
    if (data_offset_ + end_.packed_bytes + kImageEnd != size_) {
        return error("reading an image", "its end does not fit its size");
    }
    return {};
}

Result<void> ImageReader::read_at(std::uint64_t offset, char* bytes, std::size_t count) {
    while (count > 0) {
        const ssize_t n = pread(fd_.get(), bytes, count, static_cast<off64_t>(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error("reading an image", errno_text(errno));
        if (n == 0) return error("reading an image", "it became shorter while it was read");
        bytes += n;
        offset += static_cast<std::uint64_t>(n);
        count -= static_cast<std::size_t>(n);
    }
    return {};
}

Result<void> ImageReader::verify(std::uint64_t stored_bytes, const std::string& digest) {
    if (size_ != stored_bytes) {
        return error("verifying an image", "it has " + std::to_string(size_) +
                                               " bytes, the manifest says " +
                                               std::to_string(stored_bytes));
    }
    Digest found;
    std::string buffer(kStep, '\0');
    for (std::uint64_t at = 0; at < size_;) {
        const std::size_t count = std::min<std::uint64_t>(kStep, size_ - at);
        Result<void> ok = read_at(at, buffer.data(), count);
        if (!ok) return ok;
        found.update(buffer.data(), count);
        at += count;
    }
    if (found.hex() == digest) return {};
    return error("verifying an image", "its bytes have changed: their XXH3-128 is " + found.hex() +
                                           ", the manifest says " + digest);
}

Result<void> ImageReader::unpack(int stream) {
    std::unique_ptr<ZSTD_DCtx, DecompressorFree> context(ZSTD_createDCtx());
    std::string packed(kStep, '\0');
    std::string raw(kStep, '\0');
    std::uint64_t written = 0;
    std::size_t expected = 1;  // 0 when the frame is complete
    for (std::uint64_t at = 0; at < end_.packed_bytes;) {
        const std::size_t count = std::min<std::uint64_t>(kStep, end_.packed_bytes - at);
        Result<void> ok = read_at(data_offset_ + at, packed.data(), count);
        if (!ok) return ok;
        at += count;
        ZSTD_inBuffer in{packed.data(), count, 0};
        // A full output buffer may mean that more waits inside.
        for (bool more = true; more;) {
            ZSTD_outBuffer out{raw.data(), raw.size(), 0};
            expected = ZSTD_decompressStream(context.get(), &out, &in);
            if (ZSTD_isError(expected)) {
                return error("unpacking an image", ZSTD_getErrorName(expected));
            }
            const int e = send_all(stream, raw.data(), out.pos);
            if (e != 0) return error("handing an image to the VMM", errno_text(e));
            written += out.pos;
            more = in.pos < in.size || out.pos == out.size;
            if (expected == 0 && in.pos == in.size) more = false;
        }
    }
    if (expected != 0 || written != end_.raw_bytes) {
        return error("unpacking an image", "it is torn: " + std::to_string(written) + " of " +
                                               std::to_string(end_.raw_bytes) + " bytes");
    }
    return {};
}

}  // namespace grl::bridge
