#include "grl/messages/manifest.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "grl/base/file.h"
#include "grl/messages/lines.h"

namespace grl {

namespace {

constexpr std::size_t kMaxName = 64;
constexpr std::size_t kDigestDigits = 32;

bool is_digest(const std::string& text) {
    return text.size() == kDigestDigits &&
           std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isxdigit(c); });
}

std::string fault_of(const Manifest& m) {
    if (m.format != kManifestFormat) {
        return "its format is " + std::to_string(m.format) + ", this release reads " +
               std::to_string(kManifestFormat);
    }
    if (!valid_name(m.cluster)) return "cluster is no valid name";
    if (m.job == 0 || m.line == 0) return "job and line count from 1";
    if (m.guests.empty()) return "it names no guests";
    if (m.proof.ranks == 0) return "it carries no proof of silence";
    if (m.proof.issued != m.proof.completed + m.proof.deferred) {
        return "its proof of silence does not add up";
    }
    std::set<std::string> seen;
    for (const auto& g : m.guests) {
        if (!valid_name(g.name)) return "a guest has no valid name";
        if (!seen.insert(g.name).second) return "guest " + g.name + " stands twice";
        if (!valid_name(g.image)) return "guest " + g.name + ": its image is no valid file name";
        if (!is_digest(g.digest)) return "guest " + g.name + ": its digest is malformed";
        if (g.stored_bytes == 0) return "guest " + g.name + ": its image is empty";
    }
    return {};
}

}  // namespace

bool valid_name(const std::string& name) {
    return !name.empty() && name.size() <= kMaxName && name.front() != '.' &&
           std::all_of(name.begin(), name.end(), [](unsigned char c) {
               return std::isalnum(c) || c == '.' || c == '_' || c == '-';
           });
}

std::string line_directory(const std::string& directory, const std::string& cluster, LineId id) {
    return directory + "/" + cluster + "/" + std::to_string(id.job) + "/" + std::to_string(id.line);
}

Result<Manifest> check_manifest(Manifest manifest) {
    std::string fault = fault_of(manifest);
    if (!fault.empty()) return fail("reading a manifest", "", fault, ErrorKind::protocol);
    return manifest;
}

Result<Manifest> parse_manifest(const std::string& text, const std::string& path) {
    boost::system::error_code ec;
    json::value value = json::parse(text, ec);
    if (ec) return fail("reading a manifest", path, "no JSON: " + ec.message(), ErrorKind::protocol);
    Result<Manifest> manifest = from_json<Manifest>(value, "manifest");
    if (manifest) manifest = check_manifest(std::move(*manifest));
    if (!manifest) {
        Error e = manifest.error();
        e.where = path;
        return e;
    }
    return manifest;
}

Result<Manifest> read_manifest(const std::string& line_dir) {
    const std::string path = line_dir + "/" + kManifestName;
    Result<std::string> text = read_file(path, kMaxFileText);
    if (!text) return text.error();
    return parse_manifest(*text, path);
}

Result<void> write_manifest(const std::string& line_dir, const Manifest& manifest) {
    Result<Manifest> checked = check_manifest(manifest);
    if (!checked) return checked.error();
    return replace_file(line_dir + "/" + kManifestName, json::serialize(to_json(manifest)) + "\n");
}

}  // namespace grl
