// The checkpoint directory as this bridge sees it: <directory>/<cluster>/<job>/<line>/. Paths are
// built here and nowhere else, from numbers and valid names. All calls block; any thread; several
// hosts work in the same directory, so whatever is there or gone already is fine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "grl/messages/lines.h"
#include "grl/messages/manifest.h"
#include "grl/messages/stored.h"
#include "vmm_bridge/image/format.h"

namespace grl::bridge {

class LineStore {
  public:
    LineStore(std::string directory, std::string cluster)
        : directory_(std::move(directory)), cluster_(std::move(cluster)) {}

    // The same directory, whose marker must have this id in all that follows; empty: any.
    LineStore expecting(std::string id) const {
        LineStore store = *this;
        store.expected_ = std::move(id);
        return store;
    }
    // The id of the marker, <directory>/<cluster>/store.json; empty: there is none, so this is an
    // empty mount point or a directory that was never made ready.
    Result<std::string> marker() const;
    // Makes the marker, with a random id if none is given, and returns its id. One that is there
    // stays; it is an error if another id is wanted.
    Result<std::string> make_marker(const std::string& id) const;

    std::string path_of(LineId id) const { return line_directory(directory_, cluster_, id); }
    std::string image_path(LineId id, const std::string& guest) const {
        return path_of(id) + "/" + guest + kImageSuffix;
    }

    // Makes the line's directory, durable, 0700. Refused if the line is committed already or the
    // file system has less than `wanted_bytes` left.
    Result<void> prepare(LineId id, std::uint64_t wanted_bytes) const;

    // Removes these guests' files of an uncommitted line, and the directory once it is empty.
    Result<void> discard(LineId id, const std::vector<std::string>& guests) const;

    // Every image of the manifest must be there with its size and its checksum file.
    Result<void> commit(LineId id, const Manifest& manifest) const;

    // <directory>/<cluster>/hosts/<host>.json: which guests this host has, beside the images, where
    // it outlives the host and the coordinator's catalog.
    Result<void> note_host(const HostRecord& record) const;
    Result<Manifest> read(LineId id) const;
    Result<LineList> list(std::uint32_t after_job) const;
    Result<VerifiedLine> verify(LineId id) const;
    Result<void> remove(LineId id) const;
    // What was changed since the sweep began stays: it may be a line under way by then.
    Result<void> sweep(const std::vector<LineId>& keep) const;

  private:
    // Ascending. An error if the checkpoint directory cannot be read: that is not "no lines".
    Result<std::vector<std::uint32_t>> jobs() const;
    Result<std::vector<std::uint32_t>> lines(std::uint32_t job) const;
    Result<void> is_right() const;  // as expected
    std::string marker_path() const { return directory_ + "/" + cluster_ + "/store.json"; }
    // What cannot be read is an error: a host that is passed over would not be fenced.
    Result<std::vector<HostRecord>> hosts() const;
    std::string hosts_path() const { return directory_ + "/" + cluster_ + "/hosts"; }

    std::string directory_;
    std::string cluster_;
    std::string expected_;
};

// What is wrong with one image of a manifest, or nothing; every byte is read.
Result<void> verify_image(const std::string& path, const Manifest& manifest,
                          const ManifestGuest& guest);

}  // namespace grl::bridge
