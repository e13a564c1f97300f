#include "coordinator/store/sqlite.h"

namespace grl::coordinator {

Statement::Statement(Database& db, const std::string& sql) : db_(db) {
    sqlite3_stmt* raw = nullptr;
    code_ = sqlite3_prepare_v2(db.get(), sql.c_str(), -1, &raw, nullptr);
    handle_.reset(raw);
}

Statement& Statement::bind(std::int64_t number) {
    if (code_ == SQLITE_OK) code_ = sqlite3_bind_int64(handle_.get(), next_++, number);
    return *this;
}

Statement& Statement::bind(const std::string& text) {
    if (code_ == SQLITE_OK) {
        code_ = sqlite3_bind_text(handle_.get(), next_++, text.data(),
                                  static_cast<int>(text.size()), SQLITE_TRANSIENT);
    }
    return *this;
}

bool Statement::row() {
    if (code_ != SQLITE_OK && code_ != SQLITE_ROW) return false;
    stepped_ = true;
    code_ = sqlite3_step(handle_.get());
    return code_ == SQLITE_ROW;
}

std::int64_t Statement::number(int column) const {
    return sqlite3_column_int64(handle_.get(), column);
}

std::string Statement::text(int column) const {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(handle_.get(), column));
    const int size = sqlite3_column_bytes(handle_.get(), column);
    return bytes ? std::string(bytes, static_cast<std::size_t>(size)) : std::string();
}

Result<void> Statement::done() {
    if (!stepped_) row();
    if (code_ == SQLITE_DONE || code_ == SQLITE_ROW) return {};
    return db_.error(code_);
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path) {
    auto db = std::make_unique<Database>();
    db->path_ = path;
    sqlite3* raw = nullptr;
    const int code =
        sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
    db->handle_.reset(raw);
    if (code != SQLITE_OK) return db->error(code);
    return db;
}

Result<void> Database::run(const std::string& sql) {
    const int code = sqlite3_exec(get(), sql.c_str(), nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return error(code);
    return {};
}

Error Database::error(int code) {
    last_error_ = code;
    const bool told = handle_ && sqlite3_errcode(handle_.get()) == code;
    const std::string why = told ? sqlite3_errmsg(handle_.get()) : sqlite3_errstr(code);
    return fail("using the catalog", path_, why);
}

}  // namespace grl::coordinator
