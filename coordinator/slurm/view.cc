#include "coordinator/slurm/view.h"

#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "coordinator/engine/worker.h"

namespace grl::coordinator {

namespace {

constexpr std::chrono::seconds kConfEvery{60};

struct FreeJobs {
    void operator()(job_info_msg_t* m) const { slurm_free_job_info_msg(m); }
};
struct FreeNodes {
    void operator()(node_info_msg_t* m) const { slurm_free_node_info_msg(m); }
};
struct FreeConf {
    void operator()(slurm_conf_t* c) const { slurm_free_ctl_conf(c); }
};

std::vector<std::string> names_of(const char* hostlist) {
    std::vector<std::string> names;
    hostlist_t list = slurm_hostlist_create(hostlist ? hostlist : "");
    if (!list) return names;
    while (char* name = slurm_hostlist_shift(list)) {
        names.emplace_back(name);
        free(name);
    }
    slurm_hostlist_destroy(list);
    return names;
}

const char* state_word(std::uint32_t state) {
    switch (state) {
        case JOB_PENDING:
            return "PENDING";
        case JOB_RUNNING:
            return "RUNNING";
        case JOB_SUSPENDED:
            return "SUSPENDED";
        case JOB_COMPLETE:
            return "COMPLETED";
        case JOB_CANCELLED:
            return "CANCELLED";
        case JOB_NODE_FAIL:
            return "NODE_FAIL";
        case JOB_TIMEOUT:
            return "TIMEOUT";
        default:
            return "FAILED";
    }
}

Error slurm_error(std::uint32_t job, int code) {
    const bool unknown = code == ESLURM_INVALID_JOB_ID;
    return fail("asking Slurm about job " + std::to_string(job), "",
                unknown ? "there is no such job" : slurm_strerror(code),
                unknown ? ErrorKind::not_found : ErrorKind::unreachable);
}

// All calls on one thread.
class Cluster {
  public:
    Result<JobFacts> look(std::uint32_t job) {
        if (auto r = refresh(job); !r) return r.error();
        const JobRow* row = nullptr;
        std::vector<JobRow> rows;
        for (std::uint32_t i = 0; i < jobs_->record_count; ++i) {
            rows.push_back(row_of(jobs_->job_array[i]));
        }
        for (const JobRow& r : rows) {
            if (r.job == job) row = &r;
        }
        if (!row) return slurm_error(job, ESLURM_INVALID_JOB_ID);
        return JobFacts{job,        row->uid,         row->running,
                        row->state, row->nodes,       sharing_of(*row, rows),
                        row->over,  slurmd_timeout_s_, row->life};
    }

    Result<std::vector<NodeFacts>> nodes() {
        node_info_msg_t* raw = nullptr;
        if (slurm_load_node(nodes_ ? nodes_->last_update : 0, &raw, SHOW_ALL) == SLURM_SUCCESS) {
            nodes_.reset(raw);
        } else if (errno != SLURM_NO_CHANGE_IN_DATA) {
            return fail("asking Slurm about its nodes", "", slurm_strerror(errno),
                        ErrorKind::unreachable);
        }
        std::vector<NodeFacts> list;
        for (std::uint32_t i = 0; i < nodes_->record_count; ++i) {
            const node_info_t& n = nodes_->node_array[i];
            if (!n.name) continue;
            auto text = [](const char* s) { return std::string(s ? s : ""); };
            list.push_back({n.name, (n.node_state & NODE_STATE_DRAIN) != 0, text(n.reason),
                            text(n.comment), static_cast<std::int64_t>(n.reason_time)});
        }
        return list;
    }

    static Result<void> change(NodeChange change) {
        update_node_msg_t message;
        slurm_init_update_node_msg(&message);
        message.node_names = change.node.data();
        if (change.resume) message.node_state = NODE_RESUME;
        if (change.comment) message.comment = change.comment->data();
        if (change.reason) message.reason = change.reason->data();
        if (slurm_update_node(&message) == SLURM_SUCCESS) return {};
        return fail("changing node " + change.node, "slurmctld", slurm_strerror(errno));
    }

  private:
    Result<void> refresh(std::uint32_t job) {
        // Now and then, as slurmctld may be told another SlurmdTimeout while we run.
        const auto now = std::chrono::steady_clock::now();
        if (!conf_known_ || now - conf_read_at_ >= kConfEvery) {
            slurm_conf_t* raw = nullptr;
            const bool read = slurm_load_ctl_conf(0, &raw) == SLURM_SUCCESS;
            if (!read && !conf_known_) return slurm_error(job, errno);
            std::unique_ptr<slurm_conf_t, FreeConf> conf(raw);
            conf_read_at_ = now;
            if (read) {
                whole_nodes_ = raw->select_type && strcmp(raw->select_type, "select/linear") == 0;
                slurmd_timeout_s_ = raw->slurmd_timeout;
            }
            conf_known_ = true;
        }
        job_info_msg_t* raw = nullptr;
        if (slurm_load_jobs(jobs_ ? jobs_->last_update : 0, &raw, SHOW_ALL) != SLURM_SUCCESS) {
            if (errno == SLURM_NO_CHANGE_IN_DATA) return {};
            return slurm_error(job, errno);
        }
        jobs_.reset(raw);
        return {};
    }

    JobRow row_of(const slurm_job_info_t& j) const {
        const std::uint32_t base = j.job_state & JOB_STATE_BASE;
        JobRow row;
        row.job = j.job_id;
        row.uid = j.user_id;
        row.running = base == JOB_RUNNING || base == JOB_SUSPENDED;
        row.over = base > JOB_SUSPENDED;
        row.exclusive = j.shared == 0 || (whole_nodes_ && j.shared == NO_VAL16);
        row.state = state_word(base);
        row.life = {static_cast<std::int64_t>(j.submit_time),
                    static_cast<std::int64_t>(j.start_time), j.restart_cnt};
        if (row.running) row.nodes = names_of(j.nodes);
        return row;
    }

    bool conf_known_ = false;
    std::chrono::steady_clock::time_point conf_read_at_;
    std::uint32_t slurmd_timeout_s_ = 0;
    bool whole_nodes_ = false;  // the selector gives whole nodes to every job
    std::unique_ptr<job_info_msg_t, FreeJobs> jobs_;
    std::unique_ptr<node_info_msg_t, FreeNodes> nodes_;
};

class LibslurmView final : public SlurmView {
  public:
    explicit LibslurmView(boost::asio::io_context& io) : io_(io), worker_(io) {
        slurm_init(nullptr);
    }
    ~LibslurmView() override = default;

    void look(std::uint32_t job, std::chrono::milliseconds limit, Then then) override {
        struct Wait {
            Wait(boost::asio::io_context& io, std::chrono::milliseconds after, Then t)
                : deadline(io, after), then(std::move(t)) {}
            boost::asio::steady_timer deadline;
            Then then;
            void end(Result<JobFacts> facts) {
                deadline.cancel();
                if (auto t = std::exchange(then, nullptr)) t(std::move(facts));
            }
        };
        auto wait = std::make_shared<Wait>(io_, limit, std::move(then));
        wait->deadline.async_wait([wait, job](const boost::system::error_code& ec) {
            if (ec) return;
            wait->end(fail("asking Slurm about job " + std::to_string(job), "",
                           "slurmctld did not answer in time", ErrorKind::unreachable));
        });
        worker_.run([this, job] { return cluster_.look(job); },
                    [wait](Result<JobFacts> facts) { wait->end(std::move(facts)); });
    }

    void nodes(std::function<void(Result<std::vector<NodeFacts>>)> then) override {
        worker_.run([this] { return cluster_.nodes(); }, std::move(then));
    }

    void change(NodeChange change, std::function<void(Result<void>)> then) override {
        worker_.run([change = std::move(change)] { return Cluster::change(change); },
                    std::move(then));
    }

  private:
    boost::asio::io_context& io_;
    Cluster cluster_;
    Worker worker_;  // last: its thread uses what stands above
};

}  // namespace

std::string sharing_of(const JobRow& job, const std::vector<JobRow>& all) {
    const std::string subject = "job " + std::to_string(job.job);
    for (const JobRow& other : all) {
        if (!other.running || other.job == job.job) continue;
        for (const std::string& node : other.nodes) {
            if (std::find(job.nodes.begin(), job.nodes.end(), node) == job.nodes.end()) continue;
            return subject + " shares node " + node + " with job " + std::to_string(other.job) +
                   ": ask for --exclusive";
        }
    }
    if (!job.exclusive) return subject + " may have to share its nodes: ask for --exclusive";
    return {};
}

std::unique_ptr<SlurmView> make_slurm_view(boost::asio::io_context& io) {
    return std::make_unique<LibslurmView>(io);
}

}  // namespace grl::coordinator
