// What an interposer has in a process: its gate, and the registry of what is outstanding behind it.
// The registry is for one thread at a time, by a mutex where the gate lets many in.
#pragma once

#include <pthread.h>

#include "grl/page/gate.h"

namespace grl {

template <class Registry>
class GatedRegistry {
  public:
    // The registry is this object's for as long as it lives.
    class Access {
      public:
        explicit Access(GatedRegistry& owner) : owner_(owner), locked_(owner.gate.threaded) {
            if (locked_) [[unlikely]]
                pthread_mutex_lock(&owner_.mutex_);
        }
        ~Access() {
            if (locked_) [[unlikely]]
                pthread_mutex_unlock(&owner_.mutex_);
        }
        Access(const Access&) = delete;
        Access& operator=(const Access&) = delete;
        Registry* operator->() const { return &owner_.registry_; }

      private:
        GatedRegistry& owner_;
        const bool locked_;
    };

    Access registry() { return Access(*this); }
    // What has been taken from the registry is complete: also where the call was made inside
    // another.
    void end(std::uint64_t operations) {
        if (operations != 0) count(gate, gate.slot->completed, operations);
    }

    Gate gate;

  private:
    pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
    Registry registry_;
};

}  // namespace grl
