// The manifest of a line: <directory>/<cluster>/<job>/<line>/manifest.json. A line exists when its
// manifest does. docs/image-format.md is its specification.
//
// write_manifest: temporary file, fsync, rename, fsync of the directory; a reader sees the whole of
// it or none. Blocking file I/O; any thread.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "grl/messages/lines.h"
#include "grl/messages/masters.h"
#include "grl/messages/reports.h"


namespace grl {

inline constexpr int kManifestFormat = 1;
inline constexpr const char* kManifestName = "manifest.json";

struct ManifestGuest {
    std::string name;
    std::string host;               // where it was captured
    std::string image;              // file name in the line's directory
    std::string digest;             // XXH3-128 of the image's bytes as stored
    std::string definition_digest;  // of the definition it ran with
    CaptureMethod method = CaptureMethod::none;
    std::string note;
    std::uint64_t memory_mib = 0;
    std::uint64_t raw_bytes = 0;
    std::uint64_t stored_bytes = 0;
    std::int64_t stopped_at_ns = 0;
    std::int64_t captured_at_ns = 0;
    std::int64_t durable_at_ns = 0;
    Contents contents = {};
};
BOOST_DESCRIBE_STRUCT(ManifestGuest, (),
                      (name, host, image, digest, definition_digest, method, note, memory_mib,
                       raw_bytes, stored_bytes, stopped_at_ns, captured_at_ns, durable_at_ns, contents))

// Which life of a job number it is: Slurm gives a number again, and to a requeued job the same one.
struct JobLife {
    std::int64_t submitted_at_s = 0;  // of the epoch, as the next
    std::int64_t started_at_s = 0;
    std::uint32_t restarts = 0;
    bool operator==(const JobLife&) const = default;
};
BOOST_DESCRIBE_STRUCT(JobLife, (), (submitted_at_s, started_at_s, restarts))

struct Manifest {
    int format = kManifestFormat;
    std::string grl_version;
    std::string cluster;
    std::string driver;
    std::string vmm_version;
    std::uint32_t job = 0;
    std::uint32_t step = 0;
    std::uint32_t uid = 0;
    std::uint32_t line = 0;
    std::uint32_t generation = 0;
    std::uint32_t attempt = 0;  // the step's attempts so far, this one included
    std::uint32_t every_s = 0;
    Proof proof;
    std::vector<PhaseTime> phases;
    std::vector<ManifestGuest> guests;
    std::optional<JobLife> life;  // none: by a release that did not keep it
};
BOOST_DESCRIBE_STRUCT(Manifest, (),
                      (format, grl_version, cluster, driver, vmm_version, job, step, uid, line,
                       generation, attempt, every_s, proof, phases, guests, life))

// Names that become parts of paths: letters, digits, '.', '_', '-', at most 64, no leading '.'.
bool valid_name(const std::string& name);

// <directory>/<cluster>/<job>/<line>
std::string line_directory(const std::string& directory, const std::string& cluster, LineId id);

// What is wrong with it in itself (format, names, no guests, digests, proof), or nothing.
Result<Manifest> check_manifest(Manifest manifest);
Result<Manifest> parse_manifest(const std::string& text, const std::string& path);
Result<Manifest> read_manifest(const std::string& line_dir);
Result<void> write_manifest(const std::string& line_dir, const Manifest& manifest);

}  // namespace grl
