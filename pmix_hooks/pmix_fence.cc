// The fence over PMIx. Facts it stands on: only the wildcard set works across nodes; one key, put
// again each time, keeps the fence quick; after a collecting fence PMIx_Get with PMIX_OPTIONAL
// finds the new values in the node's shared store (ds21), never stale ones. The store `hash` gives
// a client no peer's value, or an old one.
#include <pmix.h>

#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "pmix_hooks/fence.h"

namespace grl {
namespace {

constexpr const char* kKey = "grl.line";
constexpr const char* kAnnouncement = "grl.joins";

std::string failed(const char* call, pmix_status_t status) {
    return std::string(call) + ": " + PMIx_Error_string(status);
}

class PmixFence;

// One fence on its way. PMIx's own thread reads the values as soon as the fence is over and wakes
// the agent once, when all are here.
struct Meeting {
    PmixFence& fence;
    FenceValue* values;
    bool* present;
    pmix_info_t local;  // how to read
    std::mutex mutex;
    std::condition_variable done;
    std::uint32_t missing = 1;
    pmix_status_t status = PMIX_SUCCESS;

    void arrived() {
        const std::lock_guard lock(mutex);
        if (--missing == 0) done.notify_one();
    }
};

struct Reply {
    Meeting* meeting;
    std::uint32_t rank;
};

void on_value(pmix_status_t status, pmix_value_t* value, void* context) {
    const Reply& reply = *static_cast<Reply*>(context);
    Meeting& meeting = *reply.meeting;
    const bool present = status == PMIX_SUCCESS && value != nullptr &&
                         value->type == PMIX_BYTE_OBJECT &&
                         value->data.bo.size == sizeof(FenceValue);
    if (present) std::memcpy(&meeting.values[reply.rank], value->data.bo.bytes, sizeof(FenceValue));
    meeting.present[reply.rank] = present;
    if (value != nullptr) PMIX_VALUE_RELEASE(value);  // ours: PMIx keeps none of it
    meeting.arrived();
}

class PmixFence final : public Fence {
  public:
    std::string open() {
        const char* store = secure_getenv("PMIX_MCA_gds");
        if (store != nullptr && std::strcmp(store, "hash") == 0)
            return "PMIX_MCA_gds=hash keeps no peers' values; unset it";
        pmix_status_t status = PMIx_Init(&self_, nullptr, 0);
        if (status != PMIX_SUCCESS) return failed("PMIx_Init", status) + "; srun --mpi=pmix?";
        initialised_ = true;
        PMIX_LOAD_PROCID(&all_, self_.nspace, PMIX_RANK_WILDCARD);
        pmix_value_t* size = nullptr;
        status = PMIx_Get(&all_, PMIX_JOB_SIZE, nullptr, 0, &size);
        if (status != PMIX_SUCCESS) return failed("PMIx_Get of the job's size", status);
        ranks_ = size->data.uint32;
        PMIX_VALUE_RELEASE(size);
        replies_ = std::make_unique<Reply[]>(ranks_);
        return {};
    }

    ~PmixFence() override {
        if (initialised_) PMIx_Finalize(nullptr, 0);  // counted: the MPI library holds another
    }

    std::uint32_t rank() const override { return self_.rank; }
    std::uint32_t ranks() const override { return ranks_; }

    std::string give(const FenceValue& mine) override {
        FenceValue copy = mine;
        pmix_value_t value;
        PMIX_VALUE_CONSTRUCT(&value);
        value.type = PMIX_BYTE_OBJECT;
        value.data.bo.bytes = reinterpret_cast<char*>(&copy);
        value.data.bo.size = sizeof copy;
        return put(kKey, value);
    }

    std::string meet(FenceValue* values, bool* present) override {
        bool yes = true;
        pmix_info_t collecting;
        PMIX_INFO_LOAD(&collecting, PMIX_COLLECT_DATA, &yes, PMIX_BOOL);
        Meeting meeting{*this, values, present, {}, {}, {}};
        PMIX_INFO_LOAD(&meeting.local, PMIX_OPTIONAL, &yes, PMIX_BOOL);
        const pmix_status_t status = PMIx_Fence_nb(&all_, 1, &collecting, 1, on_fence, &meeting);
        if (status != PMIX_SUCCESS) return failed("PMIx_Fence", status);
        std::unique_lock lock(meeting.mutex);
        meeting.done.wait(lock, [&] { return meeting.missing == 0; });
        if (meeting.status != PMIX_SUCCESS) return failed("PMIx_Fence", meeting.status);
        return {};
    }

    std::string announce() override {
        pmix_value_t value;
        PMIX_VALUE_CONSTRUCT(&value);
        value.type = PMIX_UINT32;
        value.data.uint32 = 1;
        return put(kAnnouncement, value);
    }

    std::string unannounced() override {
        for (std::uint32_t rank = 0; rank < ranks_; ++rank)
            if (!has_announced(rank))
                return "rank " + std::to_string(rank) +
                       " runs without libgrl_mpi.so (is LD_PRELOAD kept for all ranks?)";
        return {};
    }

  private:
    static void on_fence(pmix_status_t status, void* context) {
        Meeting& meeting = *static_cast<Meeting*>(context);
        {
            const std::lock_guard lock(meeting.mutex);
            meeting.status = status;
            if (status == PMIX_SUCCESS && meeting.values != nullptr)
                meeting.missing += meeting.fence.ranks_;
        }
        if (status == PMIX_SUCCESS && meeting.values != nullptr) meeting.fence.read(meeting);
        meeting.arrived();
    }

    void read(Meeting& meeting) {
        for (std::uint32_t rank = 0; rank < ranks_; ++rank) {
            pmix_proc_t peer;
            PMIX_LOAD_PROCID(&peer, self_.nspace, rank);
            replies_[rank] = {&meeting, rank};
            const pmix_status_t status =
                PMIx_Get_nb(&peer, kKey, &meeting.local, 1, on_value, &replies_[rank]);
            if (status != PMIX_SUCCESS) on_value(status, nullptr, &replies_[rank]);
        }
    }

    static std::string put(const char* key, pmix_value_t& value) {
        pmix_status_t status = PMIx_Put(PMIX_GLOBAL, key, &value);
        if (status != PMIX_SUCCESS) return failed("PMIx_Put", status);
        status = PMIx_Commit();
        if (status != PMIX_SUCCESS) return failed("PMIx_Commit", status);
        return {};
    }

    bool has_announced(std::uint32_t rank) const {
        pmix_proc_t peer;
        PMIX_LOAD_PROCID(&peer, self_.nspace, rank);
        bool yes = true;
        pmix_info_t local;
        PMIX_INFO_LOAD(&local, PMIX_OPTIONAL, &yes, PMIX_BOOL);
        pmix_value_t* value = nullptr;
        const pmix_status_t status = PMIx_Get(&peer, kAnnouncement, &local, 1, &value);
        if (status == PMIX_SUCCESS) PMIX_VALUE_RELEASE(value);
        return status == PMIX_SUCCESS;
    }

    pmix_proc_t self_{};
    pmix_proc_t all_{};
    std::uint32_t ranks_ = 0;
    bool initialised_ = false;
    std::unique_ptr<Reply[]> replies_;
};

}  // namespace

std::unique_ptr<Fence> make_pmix_fence(std::string& why) {
    auto fence = std::make_unique<PmixFence>();
    why = fence->open();
    if (!why.empty()) return nullptr;
    return fence;
}

}  // namespace grl
