// A guest on its way from host to host, as coordinator and bridges speak of it.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <string>

namespace grl {

// One guest's move to another host. Its state goes from bridge to bridge; who of the two may let it
// run is the coordinator's word alone. All idempotent; after a failure comes DropMove.
struct ReceiveGuest {  // coordinator → the target's bridge; replies Receiving when it listens
    static constexpr const char* kType = "receive_guest";
    std::uint32_t move = 0;
    std::string guest;
    std::string token;  // by which the stream is known; valid_name(), for this move only
    bool encrypted = false;  // another stream is refused
};
BOOST_DESCRIBE_STRUCT(ReceiveGuest, (), (move, guest, token, encrypted))

struct Receiving {
    static constexpr const char* kType = "receiving";
    std::string address;  // HOST:PORT, where the stream is awaited
};
BOOST_DESCRIBE_STRUCT(Receiving, (), (address))

// coordinator → the source's bridge: send its memory while it runs, and hold the rest back. Replies
// Precopied when no more than what the guest has written since is left.
struct SendGuest {
    static constexpr const char* kType = "send_guest";
    std::uint32_t move = 0;
    std::string guest;
    std::string token;
    std::string address;
    std::uint32_t limit_mib_s = 0;  // 0: as fast as it goes
    bool encrypted = false;
};
BOOST_DESCRIBE_STRUCT(SendGuest, (), (move, guest, token, address, limit_mib_s, encrypted))

struct Precopied {
    static constexpr const char* kType = "precopied";
    bool stopped = false;  // the VMM was quicker: the guest stands still, and all of it is sent
    std::uint64_t sent_bytes = 0;
};
BOOST_DESCRIBE_STRUCT(Precopied, (), (stopped, sent_bytes))

// coordinator → the source's bridge: stop it and send the rest. Replies Switched when all is sent.
struct SwitchGuest {
    static constexpr const char* kType = "switch_guest";
    std::uint32_t move = 0;
};
BOOST_DESCRIBE_STRUCT(SwitchGuest, (), (move))

struct Switched {
    static constexpr const char* kType = "switched";
    std::int64_t stopped_at_ns = 0;
    std::uint64_t sent_bytes = 0;
};
BOOST_DESCRIBE_STRUCT(Switched, (), (stopped_at_ns, sent_bytes))

struct AwaitGuest {  // coordinator → the target's bridge; Done when all of it has arrived
    static constexpr const char* kType = "await_guest";
    std::uint32_t move = 0;
};
BOOST_DESCRIBE_STRUCT(AwaitGuest, (), (move))

// coordinator → both: the guest stays where it was. The source lets it run, the target destroys
// what has arrived; Done. Never after the target was told to let it run.
struct DropMove {
    static constexpr const char* kType = "drop_move";
    std::uint32_t move = 0;
};
BOOST_DESCRIBE_STRUCT(DropMove, (), (move))

struct MoveProgress {  // the source's bridge → coordinator, a few a second
    static constexpr const char* kType = "move_progress";
    std::uint32_t move = 0;
    std::uint64_t sent_bytes = 0;
    std::uint64_t left_bytes = 0;     // as far as the VMM knows
    std::uint64_t dirty_bytes_s = 0;  // how fast the guest writes
    std::uint32_t passes = 0;         // over its memory
    bool stopped = false;             // the VMM has stopped it by itself; told once
};
BOOST_DESCRIBE_STRUCT(MoveProgress, (),
                      (move, sent_bytes, left_bytes, dirty_bytes_s, passes, stopped))

}  // namespace grl
