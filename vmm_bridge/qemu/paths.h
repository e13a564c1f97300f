// Where the bridge keeps what belongs to one QEMU guest: <run_dir>/NAME.*
#pragma once

#include <string>

namespace grl::bridge {

struct QemuPaths {
    QemuPaths(const std::string& run_dir, const std::string& guest) : base(run_dir + "/" + guest) {}

    std::string monitor() const { return base + ".qmp"; }
    std::string pid() const { return base + ".pid"; }
    std::string console() const { return base + ".console.sock"; }
    std::string console_log() const { return base + ".console.log"; }
    std::string log() const { return base + ".qemu.log"; }
    std::string definition() const { return base + ".definition"; }  // it runs with
    std::string frozen() const { return base + ".frozen"; }  // there while a line holds it still

    std::string moving() const { return base + ".moving"; }  // there while it is sent or arrives

    std::string base;
};

}  // namespace grl::bridge
