#include "vmm_bridge/image/line_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <set>

#include "grl/base/file.h"
#include "grl/base/log.h"
#include "grl/messages/lines.h"
#include "grl/messages/stored.h"
#include "vmm_bridge/image/reader.h"

namespace grl::bridge {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kSpare = 16U << 20;   // left free beyond what the images want
constexpr std::size_t kListBytes = 1U << 20;  // of manifests in one page of a list
constexpr mode_t kDirectoryMode = 0700;
constexpr const char* kRecordSuffix = ".json";

struct Marker {
    std::string id;
};
BOOST_DESCRIBE_STRUCT(Marker, (), (id))

std::string random_id() {
    std::random_device random;
    char text[33];
    snprintf(text, sizeof text, "%08x%08x%08x%08x", random(), random(), random(), random());
    return text;
}

Result<void> make_directory(const std::string& parent, const std::string& path) {
    if (mkdir(path.c_str(), kDirectoryMode) != 0) {
        if (errno == EEXIST) return {};
        return fail("making a directory", path, errno_text(errno));
    }
    return sync_directory(parent);
}

Result<void> unlink_file(const std::string& path) {
    if (unlink(path.c_str()) == 0 || errno == ENOENT) return {};
    return fail("removing a file", path, errno_text(errno));
}

// Numbers only: whatever else lies about in there is not ours.
Result<std::vector<std::uint32_t>> numbered_entries(const std::string& path) {
    std::vector<std::uint32_t> numbers;
    std::error_code ec;
    for (fs::directory_iterator at(path, ec), end; !ec && at != end; at.increment(ec)) {
        const std::string name = at->path().filename();
        std::uint32_t number = 0;
        const auto [stop, fault] = std::from_chars(name.data(), name.data() + name.size(), number);
        if (fault == std::errc() && stop == name.data() + name.size() && number != 0) {
            numbers.push_back(number);
        }
    }
    // Not made yet, or gone meanwhile.
    if (ec == std::errc::no_such_file_or_directory) return numbers;
    if (ec) return fail("reading a directory", path, ec.message());
    std::sort(numbers.begin(), numbers.end());
    return numbers;
}

// The directory opened and read afresh; nothing: it is not there. A client of a network file system
// may remember for a minute that a name was not there, and would sweep a line that another host has
// committed since; opening asks the server.
Result<std::optional<std::set<std::string>>> names_in(const std::string& path) {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(path.c_str()), closedir);
    if (!directory) {
        if (errno == ENOENT) return std::optional<std::set<std::string>>();
        return fail("reading a directory", path, errno_text(errno));
    }
    std::set<std::string> names;
    for (;;) {
        errno = 0;
        // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else reads this stream
        const dirent* entry = readdir(directory.get());
        if (!entry && errno != 0) return fail("reading a directory", path, errno_text(errno));
        if (!entry) return std::optional(std::move(names));
        names.insert(entry->d_name);
    }
}

Result<void> remove_tree(const std::string& path) {
    std::error_code ec;
    fs::remove_all(path, ec);
    if (ec) return fail("removing a line's directory", path, ec.message());
    return {};
}

bool before(const timespec& a, const timespec& b) {
    return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

// The time as the file system in `directory` tells it: its server's clock may differ from ours.
Result<timespec> file_system_time(const std::string& directory) {
    std::string path = directory + "/.sweep-XXXXXX";
    Fd file(mkostemp(path.data(), O_CLOEXEC));
    struct stat info {};
    const bool told = file && fstat(file.get(), &info) == 0;
    const int e = errno;
    if (file) unlink(path.c_str());
    if (!told) return fail("asking a file system for its time", directory, errno_text(e));
    return info.st_mtim;
}

std::string mib(std::uint64_t bytes) {
    return std::to_string((bytes + (1U << 20) - 1) >> 20) + " MiB";
}

}  // namespace

Result<std::string> LineStore::marker() const {
    const auto text = read_file(marker_path());
    if (!text) {
        if (text.error().kind == ErrorKind::not_found) return std::string();
        return text.error();
    }
    std::error_code ec;
    const json::value value = json::parse(*text, ec);
    auto marker = ec ? fail("", "", "") : from_json<Marker>(value, "marker");
    if (!marker || !valid_name(marker->id)) {
        return fail("reading the checkpoint directory's marker", marker_path(), "it is damaged",
                    ErrorKind::protocol);
    }
    return marker->id;
}

Result<std::string> LineStore::make_marker(const std::string& wanted) const {
    const std::string act = "making the checkpoint directory ready";
    if (!wanted.empty() && !valid_name(wanted)) {
        return fail(act, directory_, "'" + wanted + "' is no id", ErrorKind::usage);
    }
    Result<void> ok = make_directory(directory_, directory_ + "/" + cluster_);
    if (!ok) return ok.error();
    const std::string id = wanted.empty() ? random_id() : wanted;
    // Linked into place: of two hosts that do this at once, one makes it.
    const std::string mine = marker_path() + "." + random_id();
    ok = replace_file(mine, json::serialize(to_json(Marker{id})) + "\n");
    if (!ok) return ok.error();
    const bool made = link(mine.c_str(), marker_path().c_str()) == 0;
    const int e = errno;
    unlink(mine.c_str());
    if (!made && e != EEXIST) return fail(act, marker_path(), errno_text(e));
    ok = sync_directory(directory_ + "/" + cluster_);
    if (!ok) return ok.error();
    auto there = marker();
    if (there && !wanted.empty() && *there != wanted) {
        return fail(act, marker_path(), "it is another one's: " + *there, ErrorKind::refused);
    }
    return there;
}

Result<void> LineStore::is_right() const {
    if (expected_.empty()) return {};
    const auto there = marker();
    if (!there) return there.error();
    if (*there == expected_) return {};
    return fail("looking for the checkpoint directory", directory_,
                there->empty() ? "it is not the cluster's (no marker): mount it"
                               : "it is not the cluster's (another's marker): mount the right one",
                ErrorKind::refused);
}

Result<void> LineStore::prepare(LineId id, std::uint64_t wanted_bytes) const {
    if (Result<void> right = is_right(); !right) return right;
    const std::string cluster_path = directory_ + "/" + cluster_;
    const std::string job_path = cluster_path + "/" + std::to_string(id.job);
    const std::string path = path_of(id);
    // Before anything is made: another host of the line that has no room either removes what it
    // finds.
    struct statvfs room {};
    if (statvfs(directory_.c_str(), &room) != 0) {
        return fail("asking for free space", directory_, errno_text(errno));
    }
    const std::uint64_t there = std::uint64_t{room.f_bavail} * room.f_frsize;
    if (there < wanted_bytes + kSpare) {
        return fail("preparing a line", directory_,
                    "no room for the images: " + mib(wanted_bytes + kSpare) + " may be wanted, " +
                        mib(there) + " are free; free some or keep fewer lines",
                    ErrorKind::refused);
    }
    // The checkpoint directory itself is the site's: if it is missing, a mount is.
    Result<void> ok = make_directory(directory_, cluster_path);
    if (ok) ok = make_directory(cluster_path, job_path);
    if (ok) ok = make_directory(job_path, path);
    if (!ok) return ok;
    struct stat info {};
    if (stat((path + "/" + kManifestName).c_str(), &info) == 0) {
        return fail("preparing a line", path, "it is committed already", ErrorKind::refused);
    }
    return {};
}

Result<void> LineStore::discard(LineId id, const std::vector<std::string>& guests) const {
    const std::string path = path_of(id);
    struct stat info {};
    if (stat((path + "/" + kManifestName).c_str(), &info) == 0) {
        return fail("discarding a line", path, "it is committed", ErrorKind::refused);
    }
    Result<void> ok;
    for (const auto& guest : guests) {
        for (const std::string& file :
             {image_path(id, guest), image_path(id, guest) + kChecksumSuffix}) {
            Result<void> gone = unlink_file(file);
            if (!gone) ok = gone;
        }
    }
    rmdir(path.c_str());  // stays while other hosts' images are in it
    return ok;
}

Result<void> LineStore::commit(LineId id, const Manifest& manifest) const {
    if (Result<void> right = is_right(); !right) return right;
    const std::string path = path_of(id);
    for (const auto& guest : manifest.guests) {
        const std::string image = path + "/" + guest.image;
        Result<ImageReader> reader = ImageReader::open(image);
        if (!reader && reader.error().kind == ErrorKind::not_found) {
            return fail("committing a line", image,
                        "its host has written it, and it is not here: " + directory_ +
                            " must be the same storage on all hosts, and mounted",
                        ErrorKind::not_found);
        }
        if (!reader) return reader.error();
        if (reader->stored_bytes() != guest.stored_bytes) {
            return fail("committing a line", image,
                        "the image has " + std::to_string(reader->stored_bytes()) +
                            " bytes and not " + std::to_string(guest.stored_bytes),
                        ErrorKind::protocol);
        }
        Result<std::string> checksum = read_file(image + kChecksumSuffix);
        if (!checksum) return checksum.error();
        if (!checksum->starts_with(guest.digest)) {
            return fail("committing a line", image, "its checksum file holds another digest",
                        ErrorKind::protocol);
        }
    }
    Result<void> written = write_manifest(path, manifest);
    if (!written) return written;
    // Storage may take so long that the line has been given up meanwhile.
    for (const auto& guest : manifest.guests) {
        struct stat info {};
        if (stat((path + "/" + guest.image).c_str(), &info) == 0) continue;
        unlink_file(path + "/" + kManifestName);
        return fail("committing a line", path, "it was given up meanwhile", ErrorKind::refused);
    }
    return written;
}

Result<Manifest> LineStore::read(LineId id) const {
    Result<Manifest> manifest = read_manifest(path_of(id));
    if (!manifest) return manifest;
    if (manifest->job != id.job || manifest->line != id.line || manifest->cluster != cluster_) {
        return fail("reading a manifest", path_of(id), "it is another line's", ErrorKind::protocol);
    }
    return manifest;
}

Result<std::vector<std::uint32_t>> LineStore::jobs() const {
    const Fd there(open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!there) return fail("opening the checkpoint directory", directory_, errno_text(errno));
    return numbered_entries(directory_ + "/" + cluster_);
}

Result<std::vector<std::uint32_t>> LineStore::lines(std::uint32_t job) const {
    return numbered_entries(directory_ + "/" + cluster_ + "/" + std::to_string(job));
}

Result<void> LineStore::note_host(const HostRecord& record) const {
    const auto there = marker();
    if (!there) return there.error();
    if (there->empty()) return fail("noting a host", directory_, "it has no marker");
    Result<void> ok = make_directory(directory_ + "/" + cluster_, hosts_path());
    if (!ok) return ok;
    return replace_file(hosts_path() + "/" + record.host + kRecordSuffix,
                        json::serialize(to_json(record)) + "\n");
}

Result<std::vector<HostRecord>> LineStore::hosts() const {
    std::vector<HostRecord> records;
    std::error_code ec;
    for (fs::directory_iterator at(hosts_path(), ec), end; !ec && at != end; at.increment(ec)) {
        if (at->path().extension() != kRecordSuffix) continue;
        const std::string path = at->path();
        const auto text = read_file(path);
        if (!text) return text.error();
        const json::value value = json::parse(*text, ec);
        if (ec) return fail("reading a host's record", path, ec.message(), ErrorKind::protocol);
        auto record = from_json<HostRecord>(value, "a host's record");
        if (!record) return record.error();
        records.push_back(std::move(*record));
    }
    if (ec && ec != std::errc::no_such_file_or_directory) {
        return fail("reading a directory", hosts_path(), ec.message());
    }
    return records;
}

Result<LineList> LineStore::list(std::uint32_t after_job) const {
    if (Result<void> right = is_right(); !right) return right.error();
    LineList list;
    std::size_t bytes = 0;
    const auto all = jobs();
    if (!all) return all.error();
    if (after_job == 0) {
        auto records = hosts();
        if (!records) return records.error();
        list.hosts = std::move(*records);
    }
    for (std::uint32_t job : *all) {
        if (job <= after_job) continue;
        if (bytes > kListBytes) {
            list.more = true;
            break;
        }
        const auto in_job = lines(job);
        if (!in_job) return in_job.error();
        for (std::uint32_t line : *in_job) {
            Result<Manifest> manifest = read({job, line});
            if (manifest) {
                json::object text = to_json(*manifest).as_object();
                bytes += json::serialize(text).size();
                list.manifests.push_back(std::move(text));
            } else if (manifest.error().kind != ErrorKind::not_found) {
                list.unreadable.push_back(manifest.error().text());
                list.there.push_back({job, line});
            }
        }
    }
    return list;
}

Result<void> verify_image(const std::string& path, const Manifest& manifest,
                          const ManifestGuest& guest) {
    Result<ImageReader> reader = ImageReader::open(path);
    if (!reader) return reader.error();
    const ImageHeader& header = reader->header();
    if (header.guest != guest.name || header.job != manifest.job || header.line != manifest.line ||
        header.cluster != manifest.cluster) {
        return fail("verifying an image", path, "it is another guest's or line's",
                    ErrorKind::protocol);
    }
    return reader->verify(guest.stored_bytes, guest.digest);
}

Result<VerifiedLine> LineStore::verify(LineId id) const {
    Result<Manifest> manifest = read(id);
    if (!manifest) return manifest.error();
    VerifiedLine verified;
    for (const auto& guest : manifest->guests) {
        Result<void> good = verify_image(path_of(id) + "/" + guest.image, *manifest, guest);
        verified.guests.push_back({guest.name, good.has_value(),
                                   good ? std::string() : good.error().text(), guest.stored_bytes});
    }
    return verified;
}

Result<void> LineStore::remove(LineId id) const {
    if (Result<void> right = is_right(); !right) return right;
    const std::string path = path_of(id);
    // Without its manifest it is no line any more; a crash from here on leaves sweepings only.
    Result<void> ok = unlink_file(path + "/" + kManifestName);
    if (!ok) return ok;
    const auto entries = names_in(path);
    if (!entries) return entries.error();
    if (!*entries) return {};
    ok = sync_directory(path);
    if (!ok) return ok;
    return remove_tree(path);
}

Result<void> LineStore::sweep(const std::vector<LineId>& keep) const {
    if (Result<void> right = is_right(); !right) return right;
    const auto all = jobs();
    if (!all) return all.error();
    if (all->empty()) return {};
    const Result<timespec> began = file_system_time(directory_ + "/" + cluster_);
    if (!began) return began.error();
    Result<void> ok;
    // All are found before the first goes: that may take long on a large file system.
    std::vector<std::string> candidates;
    for (std::uint32_t job : *all) {
        const auto in_job = lines(job);
        if (!in_job) {
            ok = in_job.error();
            continue;
        }
        for (std::uint32_t line : *in_job) {
            const bool kept = std::any_of(keep.begin(), keep.end(), [&](const LineId& id) {
                return id.job == job && id.line == line;
            });
            if (!kept) candidates.push_back(path_of({job, line}));
        }
    }
    for (const auto& path : candidates) {
        const auto entries = names_in(path);
        if (!entries || !*entries || (*entries)->count(kManifestName) != 0) continue;
        struct stat info {};
        if (stat(path.c_str(), &info) != 0 || !before(info.st_mtim, *began)) continue;
        log_info("sweeping a line that was never committed: " + path);
        Result<void> gone = remove_tree(path);
        if (!gone) ok = gone;
    }
    // Only empty ones go.
    for (std::uint32_t job : *all) {
        rmdir((directory_ + "/" + cluster_ + "/" + std::to_string(job)).c_str());
    }
    return ok;
}

}  // namespace grl::bridge
