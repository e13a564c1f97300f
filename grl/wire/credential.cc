#include "grl/wire/credential.h"

#include <arpa/inet.h>
#include <munge.h>
#include <sys/random.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

namespace grl {

namespace {

struct ContextDelete {
    void operator()(munge_ctx* ctx) const { munge_ctx_destroy(ctx); }
};
using Context = std::unique_ptr<munge_ctx, ContextDelete>;

Error munge_error(const char* act, munge_err_t code, munge_ctx_t ctx, const std::string& socket) {
    const char* detail = ctx ? munge_ctx_strerror(ctx) : nullptr;
    return fail(act, socket.empty() ? "MUNGE" : socket, detail ? detail : munge_strerror(code),
                ErrorKind::denied);
}

Result<Context> make_context(const std::string& socket) {
    Context ctx(munge_ctx_create());
    if (!ctx) return fail("using MUNGE", socket, "out of memory");
    if (!socket.empty()) {
        munge_err_t rc = munge_ctx_set(ctx.get(), MUNGE_OPT_SOCKET, socket.c_str());
        if (rc != EMUNGE_SUCCESS) return munge_error("using MUNGE", rc, ctx.get(), socket);
    }
    return ctx;
}

struct Freer {
    void operator()(void* p) const { std::free(p); }  // NOLINT: libmunge allocates with malloc
};

}  // namespace

Result<std::string> make_credential(const std::string& payload, const std::string& socket,
                                    std::optional<std::uint32_t> reader) {
    Result<Context> ctx = make_context(socket);
    if (!ctx) return ctx.error();
    if (reader) {
        munge_err_t rc = munge_ctx_set(ctx->get(), MUNGE_OPT_UID_RESTRICTION,
                                       static_cast<uid_t>(*reader));
        if (rc != EMUNGE_SUCCESS) return munge_error("using MUNGE", rc, ctx->get(), socket);
    }
    char* text = nullptr;
    munge_err_t rc = munge_encode(&text, ctx->get(), payload.data(),
                                  static_cast<int>(payload.size()));
    std::unique_ptr<char, Freer> owner(text);
    if (rc != EMUNGE_SUCCESS) return munge_error("making a credential", rc, ctx->get(), socket);
    return std::string(text);
}

Result<Claim> read_credential(const std::string& credential, const std::string& socket) {
    Result<Context> ctx = make_context(socket);
    if (!ctx) return ctx.error();
    void* payload = nullptr;
    int size = 0;
    uid_t uid = 0;
    gid_t gid = 0;
    munge_err_t rc = munge_decode(credential.c_str(), ctx->get(), &payload, &size, &uid, &gid);
    std::unique_ptr<void, Freer> owner(payload);
    if (rc != EMUNGE_SUCCESS) return munge_error("checking a credential", rc, ctx->get(), socket);
    Claim claim;
    claim.uid = uid;
    claim.payload.assign(static_cast<const char*>(payload), static_cast<std::size_t>(size));
    in_addr origin{};
    char text[INET_ADDRSTRLEN] = "";
    rc = munge_ctx_get(ctx->get(), MUNGE_OPT_ADDR4, &origin);
    if (rc != EMUNGE_SUCCESS || !inet_ntop(AF_INET, &origin, text, sizeof text)) {
        return munge_error("checking a credential's origin", rc, ctx->get(), socket);
    }
    claim.origin = text;
    return claim;
}

std::string make_nonce() {
    unsigned char bytes[16];
    // For so few bytes it does not fail once the system's pool is ready, and waits until then.
    while (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) {
    }
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (unsigned char b : bytes) {
        text += digits[b >> 4];
        text += digits[b & 15];
    }
    return text;
}

}  // namespace grl
