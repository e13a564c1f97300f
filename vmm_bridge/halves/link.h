// What the two halves of a bridge tell each other beyond the coordinator's messages
// (grl/messages), which the network half relays both ways.
#pragma once

#include <boost/describe/class.hpp>


namespace grl::bridge {

struct LinkUp {  // network half → privileged half: the coordinator is there
    static constexpr const char* kType = "link_up";
};
BOOST_DESCRIBE_STRUCT(LinkUp, (), ())

struct LinkDown {
    static constexpr const char* kType = "link_down";
};
BOOST_DESCRIBE_STRUCT(LinkDown, (), ())

}  // namespace grl::bridge
