#include "coordinator/drain_watch.h"

#include <sstream>

#include "grl/log.h"

namespace grl::coordinator {

namespace {

constexpr const char* kOurs = "grl";       // a drain that is meant for us begins so
constexpr const char* kOurWord = "grl: ";  // what we say of one
constexpr const char* kAppended = "; grl: ";

// "grl migrate h4" → h4
std::string target_in(const std::string& reason) {
    std::istringstream words(reason);
    std::string ours, verb, host;
    words >> ours >> verb >> host;
    return host;
}

}  // namespace

std::string with_host(const std::string& comment, const std::string& host) {
    std::istringstream words(comment);
    std::string out, word;
    while (words >> word) {
        if (!word.starts_with("host=")) out += word + " ";
    }
    return out + "host=" + host;
}

DrainWatch::DrainWatch(Parts parts, Moves& moves) : parts_(parts), moves_(moves), timer_(parts.io) {
    if (parts_.config.coordinator.watch_nodes_ms != 0) later();
}

void DrainWatch::later() {
    timer_.expires_after(Milliseconds(parts_.config.coordinator.watch_nodes_ms));
    timer_.async_wait([this](const boost::system::error_code& ec) {
        if (ec) return;
        parts_.slurm.nodes([this](const Result<std::vector<NodeFacts>>& nodes) {
            if (nodes) take(*nodes);
            // Once, not at every question.
            const std::string error = nodes ? "" : nodes.error().text();
            if (std::exchange(last_error_, error) != error && !error.empty()) log_warning(error);
            later();
        });
    });
}

void DrainWatch::take(const std::vector<NodeFacts>& nodes) {
    for (const NodeFacts& node : nodes) {
        if (!node.drained) {
            seen_.erase(node.name);
            if (emptied_.erase(node.name)) moves_.reopen(node.name, [](const Result<Done>&) {});
            continue;
        }
        const bool is_host = parts_.hosts.find(node.name) != nullptr;
        const bool is_guest = !is_host && parts_.hosts.definition_of(node.name) != nullptr;
        const bool said =
            node.reason.starts_with(kOurWord) || node.reason.find(kAppended) != std::string::npos;
        if (said || (!is_host && !is_guest)) continue;
        const std::pair drain(node.reason, node.reason_at);
        if (seen_[node.name] == drain) continue;
        seen_[node.name] = drain;
        if (is_host) evacuate(node);
        if (is_guest && node.reason.starts_with(kOurs)) move(node);
    }
}

void DrainWatch::move(const NodeFacts& node) {
    auto ended = [this, node](const Result<MoveReport>& outcome) {
        NodeChange change{node.name, false, {}, {}};
        if (outcome && outcome->line.phase == Phase::done) {
            change.resume = true;
            change.comment = with_host(node.comment, outcome->to);
        } else {
            const std::string why = outcome ? outcome->line.reason : outcome.error().why;
            change.reason = std::string(kOurWord) + "stays" +
                            (outcome ? " on " + outcome->from : std::string()) + ": " + why;
            log_warning("node " + node.name + " was drained to be moved, but " + *change.reason);
        }
        say(std::move(change));
    };
    moves_.move(node.name, target_in(node.reason), "drain of " + node.name, {{}, ended});
}

void DrainWatch::evacuate(const NodeFacts& node) {
    emptied_.insert(node.name);
    moves_.evacuate(
        node.name, "drain of " + node.name, {}, [this, node](const Result<MoveReports>& outcome) {
            NodeChange change{node.name, false, {}, {}};
            const std::string what = outcome
                                         ? std::to_string(outcome->moves.size()) + " guests moved"
                                         : outcome.error().why;
            change.reason = node.reason + kAppended + what;
            say(std::move(change));
        });
}

void DrainWatch::say(NodeChange change) {
    parts_.slurm.change(std::move(change), [](const Result<void>& done) {
        if (!done) log_error(done.error().text());
    });
}

}  // namespace grl::coordinator
