// The privileged half's heart: what each verb does (verbs.h tells which there are and when they are
// allowed). Knows guests, lines and the checkpoint directory; knows no VMM and no network.
//
// Threads: the io_context's. Files are touched on threads of their own. Nothing that comes in is
// trusted: names must be valid and of guests defined here, paths come out of LineStore only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/moves.h"
#include "grl/messages/opening.h"
#include "grl/messages/stored.h"
#include "vmm_bridge/config.h"
#include "vmm_bridge/driver.h"
#include "vmm_bridge/host/contents.h"
#include "vmm_bridge/image/line_store.h"
#include "vmm_bridge/line/part.h"
#include "vmm_bridge/move/arrival.h"
#include "vmm_bridge/move/departure.h"

namespace grl::bridge {

class Bridge {
  public:
    struct Events {  // all to the coordinator
        std::function<void(const Inventory&)> inventory;
        std::function<void(const GuestDied&)> died;
        std::function<void(const LineProgress&)> progress;
        std::function<void(const GuestDurable&)> durable;
        std::function<void(const GuestFailed&)> failed;
        std::function<void(const MoveProgress&)> move_progress;
    };

    // `keep_stream` holds a stream's reading end beyond the bridge's death (stream_keeper.h).
    Bridge(asio::io_context& io, BridgeConfig config, std::unique_ptr<Driver> driver, Events events,
           std::function<void(int stream)> keep_stream = {});
    void open(Callback<Done> done);

    // The coordinator came or went. While it is away, lines that hold guests still are given up
    // after a short time; when it comes, all that are under way: it has done so on its side.
    void link_up();
    void link_down();
    // What is here, if it has changed since it was last said, or in any case.
    void send_inventory(bool always = false);
    // Before the bridge ends: no guest is left standing still.
    void abort_all(const std::string& reason, Callback<Done> done);

    void heartbeat(const Heartbeat&, Callback<Done> done) { done(Done{}); }
    // bridge_guests.cc
    void start_guest(const StartGuest& ask, Callback<Done> done);
    void destroy_guests(const DestroyGuests& ask, Callback<Done> done);
    void check_restore(const CheckRestore& ask, Callback<VerifiedLine> done);
    void restore_guests(const RestoreGuests& ask, Callback<RestoredGuests> done);
    void resume_guests(const ResumeGuests& ask, Callback<Done> done);
    // bridge_lines.cc
    void prepare_line(const PrepareLine& ask, Callback<PreparedLine> done);
    void copy_line(const CopyLine& ask, Callback<Done> done);
    void freeze_line(const FreezeLine& ask, Callback<FrozenLine> done);
    void capture_line(const CaptureLine& ask, Callback<CapturedLine> done);
    void resume_line(const ResumeLine& ask, Callback<Done> done);
    void abort_line(const AbortLine& ask, Callback<Done> done);
    void commit_line(const CommitLine& ask, Callback<Done> done);
    // bridge_moves.cc
    void receive_guest(const ReceiveGuest& ask, Callback<Done> done);
    void send_guest(const SendGuest& ask, Callback<Precopied> done);
    void switch_guest(const SwitchGuest& ask, Callback<Switched> done);
    void await_guest(const AwaitGuest& ask, Callback<Done> done);
    void drop_move(const DropMove& ask, Callback<Done> done);
    // A connection to another host that has proven itself, for the move with this token.
    void stream_opened(const std::string& token, OpenedStream stream);
    // bridge_store.cc
    void list_lines(const ListLines& ask, Callback<LineList> done);
    void verify_line(const VerifyLine& ask, Callback<VerifiedLine> done);
    void delete_line(const DeleteLine& ask, Callback<Done> done);
    void sweep_lines(const SweepLines& ask, Callback<Done> done);

    // Null if this bridge has no part in it.
    std::shared_ptr<LinePart> part_of(LineId id) const;

  private:
    using LineKey = std::pair<std::uint32_t, std::uint32_t>;
    struct Restored {
        LineId id;
        std::vector<std::string> guests;
        std::shared_ptr<Act<RestoredGuests>> act;
        bool any_of(const std::vector<std::string>& others) const;
    };

    Inventory inventory() const;
    void inventory_changed();
    void note_host(const Inventory& now);
    void write_record();
    void read_marker(std::function<void()> then);
    void watch_marker();
    // Whoever is told that guests stand still or go on finds them so in the inventory.
    template <class T>
    Callback<T> after_inventory(Callback<T> done) {
        return [this, done = std::move(done)](Result<T> outcome) {
            send_inventory();
            done(std::move(outcome));
        };
    }
    std::uint64_t memory_free_mib() const;
    // Whether there is room for all of these when the guests in `leaving` are gone.
    Result<void> check_room(const std::vector<GuestDefinition>& guests,
                            const std::vector<std::string>& leaving) const;
    void reload_definitions();
    // Files that were not read yet or have changed, on a thread; the inventory follows.
    void read_contents();
    Contents contents_of(const GuestDefinition& definition) const;
    Result<GuestDefinition> definition_of(const std::string& guest) const;
    const GuestView* view_of(const std::vector<GuestView>& views, const std::string& guest) const;
    Result<void> check_guests(const std::vector<std::string>& guests) const;
    std::shared_ptr<LinePart> active_part_of(const std::string& guest) const;
    void forget_restored(const std::vector<std::string>& guests);
    std::vector<std::shared_ptr<Act<RestoredGuests>>> restores_of(
        const std::vector<std::string>& guests) const;  // those under way
    Result<void> add_guest(LinePart& part, const PrepareLine& ask, std::size_t index);
    void retire_parts(std::uint32_t job);
    std::shared_ptr<GuestDeparture> departure_of(const std::string& guest) const;
    std::shared_ptr<GuestArrival> arrival_of(const std::string& guest) const;
    void drop_moves(const std::string& reason);
    void sweep_moves();
    void forget_moves(const std::vector<std::string>& guests);

    asio::io_context& io_;
    BridgeConfig config_;
    std::unique_ptr<Driver> driver_;
    Events events_;
    std::function<void(int)> keep_stream_;
    LineStore store_;
    MemoryBudget budget_;
    std::vector<GuestDefinition> definitions_;
    std::shared_ptr<FileContents> contents_ = std::make_shared<FileContents>();
    bool reading_contents_ = false;
    std::map<LineKey, std::shared_ptr<LinePart>> parts_;
    std::vector<Restored> restored_;
    std::map<std::uint32_t, std::shared_ptr<GuestDeparture>> departures_;  // by move
    std::map<std::uint32_t, std::shared_ptr<GuestArrival>> arrivals_;
    std::map<std::string, OpenedStream> streams_;  // by token, whose order is not here yet
    std::map<std::string, std::uint64_t> last_stored_bytes_;  // by guest, to guess the next
    std::string last_inventory_;
    HostRecord record_;       // as it is to stand beside the images
    bool record_due_ = true;  // it does not yet
    bool record_busy_ = false;
    asio::steady_timer record_timer_;
    bool linked_ = false;  // the coordinator is there
    std::string marker_;   // the checkpoint directory's id, as last seen
    asio::steady_timer marker_timer_;
    // What threads tell may come later than we live.
    std::shared_ptr<char> life_ = std::make_shared<char>();
    asio::steady_timer inventory_timer_;
    bool inventory_pending_ = false;
    asio::steady_timer link_timer_;
};

}  // namespace grl::bridge
