// A registry of an interposer: for one thread at a time, by a mutex where the gate lets many in.
#pragma once

#include <pthread.h>

#include "grl/gate.h"

namespace grl {

template <class Registry>
class Guarded {
  public:
    // The registry is this object's for as long as it lives.
    class Access {
      public:
        Access(Guarded& guarded, bool lock) : guarded_(guarded), locked_(lock) {
            if (locked_) [[unlikely]]
                pthread_mutex_lock(&guarded_.mutex_);
        }
        ~Access() {
            if (locked_) [[unlikely]]
                pthread_mutex_unlock(&guarded_.mutex_);
        }
        Access(const Access&) = delete;
        Access& operator=(const Access&) = delete;
        Registry* operator->() const { return &guarded_.registry_; }

      private:
        Guarded& guarded_;
        const bool locked_;
    };

    Access operator()(const Gate& gate) { return Access(*this, gate.threaded); }

  private:
    pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
    Registry registry_;
};

}  // namespace grl
