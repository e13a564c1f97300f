#include "coordinator/move/drain_watch.h"

#include <optional>
#include <sstream>

#include "grl/base/log.h"
#include "grl/messages/opening.h"
#include "grl/messages/reports.h"

namespace grl::coordinator {

namespace {

constexpr const char* kOurWord = "grl: ";  // what we say of one
constexpr const char* kAppended = "; grl: ";

// "grl", "grl migrate", "grl migrate h4": the host, or nothing where it is no word to us.
std::optional<std::string> target_in(const std::string& reason) {
    std::istringstream words(reason);
    std::string ours, verb, host;
    words >> ours >> verb >> host;
    if (ours != "grl" || (!verb.empty() && verb != "migrate")) return std::nullopt;
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
        parts_.slurm.nodes(
            [this, life = std::weak_ptr(self_)](const Result<std::vector<NodeFacts>>& nodes) {
                if (life.expired()) return;
                if (nodes) take(*nodes);
                // Once, not at every question.
                const std::string error = nodes ? "" : nodes.error().text();
                if (std::exchange(last_error_, error) != error && !error.empty())
                    log_warning(error);
                later();
            });
    });
}

void DrainWatch::take(const std::vector<NodeFacts>& nodes) {
    latest_.clear();
    for (const NodeFacts& node : nodes) latest_[node.name] = node;
    for (const NodeFacts& node : nodes) {
        if (!node.drained) {
            seen_.erase(node.name);
            if (emptied_.erase(node.name)) moves_.reopen(node.name, [](const Result<Done>&) {});
            continue;
        }
        const Host* host = parts_.hosts.find(node.name);
        const bool is_host = host != nullptr;
        const bool is_guest = !is_host && parts_.hosts.definition_of(node.name) != nullptr;
        const bool said =
            node.reason.starts_with(kOurWord) || node.reason.find(kAppended) != std::string::npos;
        // Emptied by a coordinator before this one.
        if (said && is_host && moves_.is_closed(node.name)) emptied_.insert(node.name);
        if (said || (!is_host && !is_guest)) continue;
        if (is_host && !host->connected()) continue;  // when it is back
        const std::pair drain(node.reason, node.reason_at);
        if (seen_[node.name] == drain) continue;
        seen_[node.name] = drain;
        if (is_host) evacuate(node);
        if (is_guest && target_in(node.reason)) move(node);
    }
}

void DrainWatch::move(const NodeFacts& node) {
    auto ended = [this, node](const Result<MoveReport>& outcome) {
        NodeChange change{node.name, false, {}, {}};
        if (outcome && outcome->line.phase == Phase::done) {
            change.resume = still(node);
            change.comment = with_host(node.comment, outcome->to);
        } else {
            const std::string why = outcome ? outcome->line.reason : outcome.error().why;
            const std::string text = std::string(kOurWord) + "stays" +
                                     (outcome ? " on " + outcome->from : std::string()) + ": " +
                                     why;
            log_warning("node " + node.name + " was drained to be moved, but " + text);
            if (!still(node)) return;
            change.reason = text;
        }
        say(std::move(change));
    };
    moves_.move(node.name, *target_in(node.reason), "drain of " + node.name, {{}, ended});
}

void DrainWatch::evacuate(const NodeFacts& node) {
    emptied_.insert(node.name);
    moves_.evacuate(
        node.name, "drain of " + node.name, {}, [this, node](const Result<MoveReports>& outcome) {
            if (!still(node)) return;
            NodeChange change{node.name, false, {}, {}};
            const std::string what = outcome
                                         ? std::to_string(outcome->moves.size()) + " guests moved"
                                         : outcome.error().why;
            change.reason = node.reason + kAppended + what;
            say(std::move(change));
        });
}

bool DrainWatch::still(const NodeFacts& order) const {
    const auto now = latest_.find(order.name);
    return now != latest_.end() && now->second.drained && now->second.reason == order.reason &&
           now->second.reason_at == order.reason_at;
}

void DrainWatch::say(NodeChange change) {
    if (moves_.stopping()) return;  // the next coordinator goes on with it
    parts_.slurm.change(std::move(change), [](const Result<void>& done) {
        if (!done) log_error(done.error().text());
    });
}

}  // namespace grl::coordinator
