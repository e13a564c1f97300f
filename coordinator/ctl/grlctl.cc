// grlctl: what operators and users say to the coordinator. docs/operator.md is its manual.
#include <unistd.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <optional>
#include <thread>

#include "coordinator/ctl/client.h"
#include "coordinator/ctl/job_number.h"
#include "coordinator/ctl/progress.h"
#include "coordinator/ctl/reports.h"
#include "coordinator/engine/clock.h"
#include "coordinator/version.h"
#include "grl/messages/lines.h"
#include "grl/messages/opening.h"
#include "grl/messages/questions.h"
#include "grl/messages/reports.h"
#include "grl/messages/stored.h"

namespace {

using namespace grl;
using namespace grl::coordinator;
namespace options = boost::program_options;

constexpr const char* kDefaultCoordinator = "127.0.0.1:7410";

struct Words {  // what was said on the command line
    std::string coordinator;
    bool as_json = false;
    std::vector<std::string> given;  // behind the verb
    std::optional<std::uint32_t> line;
    std::uint32_t times = 1;
    std::uint32_t every_ms = 1000;
    std::uint32_t limit_s = 0;
    bool checkpoint = false;
    bool off = false;
    bool into_other_life = false;
};

Error misuse(const std::string& why) {
    return fail("grlctl", "", why, ErrorKind::usage);
}

Result<std::uint32_t> number_of(const std::string& text, const char* what) {
    std::uint32_t number = 0;
    const char* end = text.data() + text.size();
    auto [rest, ec] = std::from_chars(text.data(), end, number);
    if (ec != std::errc() || rest != end) {
        return misuse("'" + text + "' is no " + what + " (a number is wanted)");
    }
    return number;
}

Result<LineId> line_of(const std::string& text) {
    const auto slash = text.find('/');
    if (slash == std::string::npos) return misuse("'" + text + "' is no line (JOB/LINE is wanted)");
    auto job = job_number(text.substr(0, slash));
    if (!job) return job.error();
    auto line = number_of(text.substr(slash + 1), "line");
    if (!line) return line.error();
    return LineId{*job, *line};
}

// Asks, and prints the answer: as it came with --json, else as `text` says it.
template <class Answer, class Question, class Text>
Result<int> answer(const Words& words, const Question& question, Text text) {
    CtlClient client(words.coordinator);
    ProgressView view(isatty(STDOUT_FILENO) != 0);
    CtlClient::Progress progress;
    if (!words.as_json) {
        progress = [&view](const json::object& news) {
            if constexpr (std::is_same_v<Answer, LineReport> ||
                          std::is_same_v<Answer, RestoreReport> ||
                          std::is_same_v<Answer, MoveReport>) {
                if (auto report = from_json<Answer>(news, "progress")) view.show(*report);
            } else if constexpr (std::is_same_v<Answer, MoveReports>) {
                if (auto report = from_json<MoveReport>(news, "progress")) view.show(*report);
            } else if constexpr (std::is_same_v<Answer, HeldJob>) {
                if (auto report = from_json<LineReport>(news, "progress")) view.show(*report);
            }
        };
    }
    auto body = client.ask(question, progress);
    view.clear();
    if (!body) return body.error();
    auto read = from_json<Answer>(*body, "the answer");
    if (!read) return read.error();
    if (words.as_json) {
        std::cout << json::serialize(*body) << "\n";
    } else {
        std::cout << text(*read);
    }
    if constexpr (std::is_same_v<Answer, VerifiedLine>) {
        for (const GuestVerified& g : read->guests) {
            if (!g.good) return static_cast<int>(ErrorKind::failed);
        }
    }
    return 0;
}

int say(const Error& error, bool as_json) {
    if (as_json) {
        const json::object body = {{"kind", static_cast<int>(error.kind)},
                                   {"what", error.what},
                                   {"where", error.where},
                                   {"why", error.why}};
        std::cout << json::serialize(json::object{{"error", body}}) << std::endl;
    } else {
        std::cout.flush();
        std::cerr << (error.what == "grlctl" ? "" : "grlctl: ") << error.text() << "\n";
    }
    return static_cast<int>(error.kind);
}

// ---- the verbs ----

Result<int> status(const Words& w) {
    return answer<StatusReport>(w, StatusQuery{}, status_text);
}

Result<int> checkpoint(const Words& w) {
    auto job = job_number(w.given[0]);
    if (!job) return job.error();
    return answer<LineReport>(w, CheckpointJob{*job}, line_text);
}

// Goes on over rehearsals that fail: the job may be ready the next time. Ends with the job.
Result<int> rehearse(const Words& w) {
    auto job = job_number(w.given[0]);
    if (!job) return job.error();
    CtlClient client(w.coordinator);
    std::optional<Error> last;
    auto due = Steady::now();
    for (std::uint32_t i = 0; i < w.times; ++i) {
        std::this_thread::sleep_until(due);
        due = std::max(Steady::now(), due + Milliseconds(w.every_ms));
        auto body = client.ask(CheckpointJob{*job, true}, {});
        auto report = body ? from_json<LineReport>(*body, "the answer") : body.error();
        if (report) {
            last.reset();
            std::cout << (w.as_json ? json::serialize(*body) + "\n" : rehearsal_text(*report))
                      << std::flush;
            continue;
        }
        last = report.error();
        if (last->kind != ErrorKind::failed && last->kind != ErrorKind::refused) break;
        if (i + 1 < w.times) say(*last, w.as_json);
    }
    if (last) return *last;
    return 0;
}

Result<int> hold(const Words& w) {
    auto job = job_number(w.given[0]);
    if (!job) return job.error();
    return answer<HeldJob>(w, HoldJob{*job, w.limit_s, w.checkpoint}, held_text);
}

Result<int> let_go(const Words& w) {
    auto job = job_number(w.given[0]);
    if (!job) return job.error();
    return answer<LineReport>(w, LetGoJob{*job}, went_on_text);
}

Result<int> list(const Words& w) {
    ListQuery question;
    if (!w.given.empty()) {
        auto job = job_number(w.given[0]);
        if (!job) return job.error();
        question.job = *job;
    }
    // In pages, put together here: all of it may be more than a frame.
    CtlClient client(w.coordinator);
    LineReports all;
    for (bool more = true; more;) {
        auto body = client.ask(question, {});
        if (!body) return body.error();
        auto page = from_json<LineReports>(*body, "the answer");
        if (!page) return page.error();
        more = page->more.value_or(false) && !page->lines.empty();
        if (more) question.after = LineId{page->lines.back().job, page->lines.back().line};
        std::ranges::move(page->lines, std::back_inserter(all.lines));
    }
    std::cout << (w.as_json ? json::serialize(to_json(all)) + "\n" : list_text(all));
    return 0;
}

Result<int> show(const Words& w) {
    auto id = line_of(w.given[0]);
    if (!id) return id.error();
    return answer<ShownLine>(w, ShowQuery{*id}, show_text);
}

Result<int> restore(const Words& w) {
    auto job = job_number(w.given[0]);
    if (!job) return job.error();
    return answer<RestoreReport>(w, RestoreJob{*job, w.line, w.into_other_life}, restore_text);
}

Result<int> verify(const Words& w) {
    auto id = line_of(w.given[0]);
    if (!id) return id.error();
    return answer<VerifiedLine>(w, VerifyQuery{*id}, [id = *id](const VerifiedLine& verified) {
        return verify_text(id, verified);
    });
}

Result<int> remove_line(const Words& w) {
    auto id = line_of(w.given[0]);
    if (!id) return id.error();
    return answer<Done>(w, DeleteQuery{*id},
                        [&](const Done&) { return "line " + w.given[0] + " is deleted\n"; });
}

Result<int> start_guest(const Words& w) {
    return answer<Done>(w, StartQuery{w.given[0], w.given[1]}, [&](const Done&) {
        return "guest " + w.given[0] + " runs on " + w.given[1] + "\n";
    });
}

Result<int> stop_guest(const Words& w) {
    return answer<Done>(w, StopQuery{w.given[0], w.given.size() > 1 ? w.given[1] : ""},
                        [&](const Done&) { return "guest " + w.given[0] + " is stopped\n"; });
}

Result<int> fence_host(const Words& w) {
    return answer<Done>(w, FenceQuery{w.given[0], w.off}, [&](const Done&) {
        return "host " + w.given[0] + " is off; its guests may run elsewhere\n";
    });
}

Result<int> migrate(const Words& w) {
    return answer<MoveReport>(w, MoveQuery{w.given[0], w.given.size() > 1 ? w.given[1] : ""},
                              move_text);
}

Result<int> evacuate(const Words& w) {
    return answer<MoveReports>(w, EvacuateQuery{w.given[0]}, [&](const MoveReports& reports) {
        return evacuation_text(w.given[0], reports);
    });
}

Result<int> reopen(const Words& w) {
    return answer<Done>(w, ReopenQuery{w.given[0]}, [&](const Done&) {
        return "guests may come to host " + w.given[0] + " again\n";
    });
}

Result<int> history(const Words& w) {
    HistoryQuery question;
    if (!w.given.empty()) {
        auto count = number_of(w.given[0], "count");
        if (!count) return count.error();
        question.count = *count;
    }
    return answer<MoveReports>(w, question, history_text);
}

struct Verb {
    const char* name;
    const char* arguments;
    std::size_t least, most;  // arguments
    Result<int> (*run)(const Words&);
    const char* what;
};

constexpr Verb kVerbs[] = {
    {"status", "", 0, 0, status, "hosts, guests and protected jobs"},
    {"checkpoint", "JOB", 1, 1, checkpoint, "take a line and wait until it is committed"},
    {"rehearse", "JOB", 1, 1, rehearse,
     "bring the job to silence and let it go on; --times, --every"},
    {"hold", "JOB", 1, 1, hold,
     "let the job's guests stand still, for --limit at most; --checkpoint"},
    {"release", "JOB", 1, 1, let_go, "end a hold"},
    {"list", "[JOB]", 0, 1, list, "lines, committed and aborted"},
    {"show", "JOB/LINE", 1, 1, show, "phases, guests and proof of silence of a line"},
    {"restore", "JOB", 1, 1, restore, "go back to the last line, or to --line N"},
    {"verify", "JOB/LINE", 1, 1, verify, "read every byte of a line's images"},
    {"delete", "JOB/LINE", 1, 1, remove_line, "remove a line and its images"},
    {"migrate", "GUEST [HOST]", 1, 2, migrate, "move a guest to another host while its job runs"},
    {"evacuate", "HOST", 1, 1, evacuate, "move all guests away; none comes until reopen"},
    {"reopen", "HOST", 1, 1, reopen, "let guests come to a host again"},
    {"history", "[COUNT]", 0, 1, history, "moves of guests, the latest last"},
    {"start", "GUEST HOST", 2, 2, start_guest, "start a guest"},
    {"fence", "HOST", 1, 1, fence_host, "turn a lost host off; --off: it is off, by your word"},
    {"stop", "GUEST [HOST]", 1, 2, stop_guest, "stop a guest at once; what runs in it is lost"},
};

std::string usage(const options::options_description& known) {
    std::ostringstream out;
    out << "usage: grlctl [--coordinator HOST:PORT] [--json] VERB\n\n";
    for (const Verb& v : kVerbs) {
        std::string call = std::string(v.name) + " " + v.arguments;
        call.resize(22, ' ');
        out << "  " << call << v.what << "\n";
    }
    out << "\n" << known << "\nThe coordinator's address may stand in GRL_COORDINATOR.\n";
    return out.str();
}

Result<int> run(const Verb& verb, const Words& words) {
    if (words.given.size() < verb.least || words.given.size() > verb.most) {
        return misuse("usage: grlctl " + std::string(verb.name) + " " + verb.arguments);
    }
    if (words.line && std::string(verb.name) != "restore") {
        return misuse("--line goes with restore");
    }
    if (words.into_other_life && std::string(verb.name) != "restore") {
        return misuse("--into-other-life goes with restore");
    }
    if (words.limit_s != 0 && std::string(verb.name) != "hold") {
        return misuse("--limit goes with hold");
    }
    if (words.checkpoint && std::string(verb.name) != "hold") {
        return misuse("--checkpoint goes with hold");
    }
    if (words.off && std::string(verb.name) != "fence") {
        return misuse("--off goes with fence");
    }
    return verb.run(words);
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    const char* from_environment = std::getenv("GRL_COORDINATOR");  // NOLINT(concurrency-mt-unsafe)
    Words words;
    words.coordinator = from_environment ? from_environment : kDefaultCoordinator;

    options::options_description known("options");
    known.add_options()("coordinator", options::value(&words.coordinator)->value_name("HOST:PORT"),
                        "the coordinator's address for the cluster")(
        "json", "print one JSON object")("line", options::value<std::uint32_t>()->value_name("N"),
                                         "restore: go back to this line")(
        "into-other-life", options::bool_switch(&words.into_other_life),
        "restore: also from a line of an earlier job of that number, or from before a requeue")(
        "times", options::value(&words.times)->value_name("N"), "rehearse: so often")(
        "every", options::value(&words.every_ms)->value_name("MS"),
        "rehearse: begin one every MS milliseconds")(
        "limit", options::value(&words.limit_s)->value_name("S"),
        "hold: the job goes on by itself after S seconds")(
        "checkpoint", options::bool_switch(&words.checkpoint),
        "hold: commit a line first, so that hosts may be powered off")(
        "off", options::bool_switch(&words.off), "fence: the host is off, nobody need turn it off")(
        "version", "print the release")("help", "print this");
    options::options_description all;
    all.add(known).add_options()("words", options::value<std::vector<std::string>>());
    options::positional_options_description positions;
    positions.add("words", -1);
    options::variables_map given;
    try {
        options::store(
            options::command_line_parser(argc, argv).options(all).positional(positions).run(),
            given);
        options::notify(given);
    } catch (const options::error& e) {
        return say(misuse(e.what()), false);
    }
    if (given.count("help")) return std::cout << usage(known), 0;
    if (given.count("version")) return std::cout << "grlctl " << kVersion << "\n", 0;
    words.as_json = given.count("json") != 0;
    if (given.count("line")) words.line = given["line"].as<std::uint32_t>();
    if (given.count("words")) words.given = given["words"].as<std::vector<std::string>>();
    if (words.given.empty()) {
        std::cerr << usage(known);
        return static_cast<int>(ErrorKind::usage);
    }
    const std::string name = words.given.front();
    words.given.erase(words.given.begin());
    for (const Verb& verb : kVerbs) {
        if (name != verb.name) continue;
        auto code = run(verb, words);
        return code ? *code : say(code.error(), words.as_json);
    }
    return say(misuse("no verb '" + name + "'; see grlctl --help"), words.as_json);
}
