// A queue of memory between the thread that drains a VMM's stream and the one that compresses it.
// Bounded: push() waits when it is full, pop() when it is empty. Two threads; close() from any.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

namespace grl::bridge {

struct Chunk {
    std::unique_ptr<char[]> bytes;
    std::size_t size = 0;
};

class ChunkQueue {
  public:
    explicit ChunkQueue(std::size_t limit) : limit_(limit) {}

    // False if the queue is closed: nobody wants the bytes any more.
    bool push(Chunk chunk) {
        std::unique_lock lock(mutex_);
        room_.wait(lock, [&] { return closed_ || held_ < limit_; });
        if (closed_) return false;
        held_ += chunk.size;
        chunks_.push_back(std::move(chunk));
        filled_.notify_one();
        return true;
    }
    // The producer has pushed its last.
    void end() {
        std::lock_guard lock(mutex_);
        ended_ = true;
        filled_.notify_all();
    }
    // Nothing at the end of the stream, or when closed.
    std::optional<Chunk> pop() {
        std::unique_lock lock(mutex_);
        filled_.wait(lock, [&] { return closed_ || ended_ || !chunks_.empty(); });
        if (closed_ || chunks_.empty()) return std::nullopt;
        Chunk chunk = std::move(chunks_.front());
        chunks_.pop_front();
        held_ -= chunk.size;
        room_.notify_one();
        return chunk;
    }
    void close() {
        std::lock_guard lock(mutex_);
        closed_ = true;
        chunks_.clear();
        room_.notify_all();
        filled_.notify_all();
    }

  private:
    std::mutex mutex_;
    std::condition_variable room_;
    std::condition_variable filled_;
    std::deque<Chunk> chunks_;
    std::size_t held_ = 0;
    const std::size_t limit_;
    bool ended_ = false;
    bool closed_ = false;
};

}  // namespace grl::bridge
