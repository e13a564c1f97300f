// SQLite as values: a database and a statement that close themselves. Blocking; one thread at a
// time.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>

#include "grl/base/result.h"

namespace grl::coordinator {

class Database;

// A statement: bind in the order of its question marks, then step.
class Statement {
  public:
    Statement(Database& db, const std::string& sql);
    Statement& bind(std::int64_t number);
    Statement& bind(const std::string& text);

    bool row();  // true: a row stands ready. False: no more, or an error
    std::int64_t number(int column) const;
    std::string text(int column) const;
    // After the last row(): how it went. Runs the statement first if row() was never called.
    Result<void> done();

  private:
    struct Finalize {
        void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
    };
    Database& db_;
    std::unique_ptr<sqlite3_stmt, Finalize> handle_;
    int next_ = 1;
    int code_;
    bool stepped_ = false;
};

class Database {
  public:
    static Result<std::unique_ptr<Database>> open(const std::string& path);
    Result<void> run(const std::string& sql);  // no rows
    Error error(int code);
    int last_error() const { return last_error_ & 0xff; }  // SQLITE_…, of the last error()
    sqlite3* get() const { return handle_.get(); }

  private:
    struct Close {
        void operator()(sqlite3* s) const { sqlite3_close_v2(s); }
    };
    std::string path_;
    int last_error_ = SQLITE_OK;
    std::unique_ptr<sqlite3, Close> handle_;
};

// Commits when told to; else everything since its making is undone.
class Transaction {
  public:
    explicit Transaction(Database& db) : db_(db), begun_(db.run("BEGIN IMMEDIATE")) {}
    ~Transaction() {
        if (begun_ && !over_) (void)db_.run("ROLLBACK");
    }
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    const Result<void>& begun() const { return begun_; }
    Result<void> commit() {
        Result<void> r = db_.run("COMMIT");
        over_ = r.has_value();
        return r;
    }

  private:
    Database& db_;
    Result<void> begun_;
    bool over_ = false;
};

}  // namespace grl::coordinator
