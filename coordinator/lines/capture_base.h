// What a line and a hold do alike: the job's guests are stopped, captured and resumed by the
// bridges of their hosts, and the images become a line with its manifest.
//
// A node's master is released when its bridge has resumed the guest: a word sent to a guest that
// stands still would wait for TCP to send it again.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>

#include "coordinator/lines/job_base.h"

namespace grl::coordinator {

class CaptureBase : public JobBase {
  public:
    void bridge_away(const std::string& name, const std::string& why) override;
    void guest_died(const std::string& guest, const std::string& reason) override;
    void image_progress(const LineProgress& progress) override;
    void image_durable(const GuestDurable& durable) override;
    void image_failed(const std::string& guest, const std::string& reason) override;

  protected:
    CaptureBase(const JobSetting& setting, std::uint32_t job, JobHooks hooks);

    virtual void image_lost(const std::string& why) = 0;  // the event
    virtual bool storing() const = 0;  // the state in which images become durable

    // One per state, in the order in which they run. What the kind adds is said by its run.
    void prepare(const std::string& capture,
                 std::function<void(const LineHost&, const PreparedLine&)> take = {});
    void freeze(std::optional<std::uint32_t> hold_s, std::optional<std::uint32_t> still_s = {});
    void capture();
    void release();
    void await_images();
    void write_manifest();
    // ---- the ways back ----
    void undo();
    void erase();
    void discard();

    bool may_release(const LineMember& member) const override;
    bool all_resumed() const { return resumed_hosts_.size() == order_.hosts.size(); }
    bool has_guest(const std::string& name) const;
    const LineHost* host(const std::string& name) const;

    Manifest manifest_;

  private:
    void resumed(const LineHost& host);
    void hand_manifest(std::vector<std::shared_ptr<Channel>> bridges);
    void abort_bridges();
    std::vector<std::shared_ptr<Channel>> writers() const;

    std::string cluster_;
    std::set<std::string> resumed_hosts_;
    std::string image_fault_;
};

}  // namespace grl::coordinator
