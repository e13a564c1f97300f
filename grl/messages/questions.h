// What grlctl asks the coordinator for.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "grl/messages/lines.h"

namespace grl {

struct StatusQuery {  // replies StatusReport
    static constexpr const char* kType = "status";
};
BOOST_DESCRIBE_STRUCT(StatusQuery, (), ())

struct CheckpointJob {  // progress LineReport …, then replies LineReport when committed
    static constexpr const char* kType = "checkpoint";
    std::uint32_t job = 0;
    bool rehearsal = false;  // to silence and on: nothing is captured, no line is kept
};
BOOST_DESCRIBE_STRUCT(CheckpointJob, (), (job, rehearsal))

struct HoldJob {  // progress LineReport …, then replies HeldJob when the guests stand still
    static constexpr const char* kType = "hold";
    std::uint32_t job = 0;
    std::uint32_t limit_s = 0;  // then they go on by themselves; 0: as long as Slurm allows
    bool checkpoint = false;    // a line is committed first, with the guests standing still
};
BOOST_DESCRIBE_STRUCT(HoldJob, (), (job, limit_s, checkpoint))

struct LetGoJob {  // ends a hold; replies LineReport when the job goes on
    static constexpr const char* kType = "let_go";
    std::uint32_t job = 0;
};
BOOST_DESCRIBE_STRUCT(LetGoJob, (), (job))

// A guest's move: progress MoveReport …, then replies MoveReport when it runs there. Root's.
struct MoveQuery {
    static constexpr const char* kType = "migrate";
    std::string guest;
    std::string host;  // empty: the coordinator chooses
};
BOOST_DESCRIBE_STRUCT(MoveQuery, (), (guest, host))

// All guests of a host: progress MoveReport …, then replies MoveReports. Root's. The host gets no
// guest until ReopenQuery.
struct EvacuateQuery {
    static constexpr const char* kType = "evacuate";
    std::string host;
};
BOOST_DESCRIBE_STRUCT(EvacuateQuery, (), (host))

struct ReopenQuery {  // guests may come to the host again; replies Done
    static constexpr const char* kType = "reopen";
    std::string host;
};
BOOST_DESCRIBE_STRUCT(ReopenQuery, (), (host))

struct HistoryQuery {  // replies MoveReports, the latest last
    static constexpr const char* kType = "history";
    std::uint32_t count = 0;  // at most so many; 0: all that are kept
};
BOOST_DESCRIBE_STRUCT(HistoryQuery, (), (count))

struct ListQuery {  // replies LineReports: a page of them
    static constexpr const char* kType = "list";
    std::optional<std::uint32_t> job;
    std::optional<LineId> after = {};  // the last of the page before
};
BOOST_DESCRIBE_STRUCT(ListQuery, (), (job, after))

struct ShowQuery {  // replies ShownLine
    static constexpr const char* kType = "show";
    LineId id;
};
BOOST_DESCRIBE_STRUCT(ShowQuery, (), (id))

struct RestoreJob {  // progress RestoreReport …, then replies RestoreReport
    static constexpr const char* kType = "restore";
    std::uint32_t job = 0;
    std::optional<std::uint32_t> line;  // the last committed one if not given
    // Also if the line is of another life of the number, or, for root, of another user's job.
    std::optional<bool> into_other_life = {};
};
BOOST_DESCRIBE_STRUCT(RestoreJob, (), (job, line, into_other_life))

struct VerifyQuery {  // replies VerifiedLine
    static constexpr const char* kType = "verify";
    LineId id;
};
BOOST_DESCRIBE_STRUCT(VerifyQuery, (), (id))

struct DeleteQuery {  // replies Done
    static constexpr const char* kType = "delete";
    LineId id;
};
BOOST_DESCRIBE_STRUCT(DeleteQuery, (), (id))

struct StartQuery {  // root's; replies Done
    static constexpr const char* kType = "start";
    std::string guest;
    std::string host;
};
BOOST_DESCRIBE_STRUCT(StartQuery, (), (guest, host))

// A host that is lost: turn it off by the site's program, or take root's word that it is off.
// Root's; replies Done when it is.
struct FenceQuery {
    static constexpr const char* kType = "fence";
    std::string host;
    bool off = false;
};
BOOST_DESCRIBE_STRUCT(FenceQuery, (), (host, off))

struct StopQuery {  // root's; replies Done
    static constexpr const char* kType = "stop";
    std::string guest;
    std::string host = {};  // there only; empty: wherever it is, if it lives on one host at most
};
BOOST_DESCRIBE_STRUCT(StopQuery, (), (guest, host))

}  // namespace grl
