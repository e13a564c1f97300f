// The VMMs that this build knows. Only the privileged half makes a driver.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "vmm_bridge/config.h"
#include "vmm_bridge/driver.h"

namespace grl::bridge {

// Empty if there is a driver of this name (bridge.driver); else what there is, and what to do.
std::string driver_fault(const std::string& name);

// Empty if its driver can give them to guests (bridge.adapters).
std::string adapters_fault(const BridgeSection& config);

// Each VMM's section of a definition, read by its own folder: complete, or why it cannot be. Those
// of VMMs that this build lacks, too.
Result<void> complete_sections(GuestDefinition& definition);

// driver_fault has nothing against its name.
std::unique_ptr<Driver> make_driver(boost::asio::io_context& io, const BridgeSection& config);

}  // namespace grl::bridge
