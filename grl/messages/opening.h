// How a connection is opened (grl/wire/handshake.h), and what any of them may carry.
//
// The headers of this folder are the messages between the parts, one a conversation.
// docs/protocol.md tells who sends what when. A struct is a message's body; its kType is its name
// on the wire. Times are nanoseconds of CLOCK_REALTIME unless a field says milliseconds; sizes are
// bytes unless it says MiB.
//
// Envelope of a frame:  {"type": T, "id": N, "body": {…}}   id only where a reply is wanted
//                       {"type": "reply", "id": N, "body": {…}}
//                       {"type": "error", "id": N, "body": {kind, what, where, why}}
//                       {"type": "progress", "id": N, "body": {…}}   any number, before the reply
#pragma once

#include <boost/describe/class.hpp>
#include <string>

namespace grl {

inline constexpr int kProtocolVersion = 2;

struct Challenge {  // server → client
    static constexpr const char* kType = "challenge";
    int version = kProtocolVersion;
    std::string nonce;
};
BOOST_DESCRIBE_STRUCT(Challenge, (), (version, nonce))

struct Hello {  // client → server
    static constexpr const char* kType = "hello";
    int version = kProtocolVersion;
    std::string role;   // bridge, master, ctl, check
    std::string name;   // host, node or user
    std::string nonce;  // the client's
    std::string credential;
};
BOOST_DESCRIBE_STRUCT(Hello, (), (version, role, name, nonce, credential))

struct Welcome {  // server → client
    static constexpr const char* kType = "welcome";
    std::string credential;
};
BOOST_DESCRIBE_STRUCT(Welcome, (), (credential))

struct Done {  // the reply that says only: done
    static constexpr const char* kType = "done";
};
BOOST_DESCRIBE_STRUCT(Done, (), ())

// master → coordinator: every second; ten a second while silent, as a restored master finds by it
// that its connection is of another life. coordinator → bridge, as a request: are you there? (Done,
// or any other answer.) coordinator → grlctl, as progress every second: the request is being worked
// on.
struct Heartbeat {
    static constexpr const char* kType = "heartbeat";
};
BOOST_DESCRIBE_STRUCT(Heartbeat, (), ())

}  // namespace grl
