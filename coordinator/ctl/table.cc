#include "coordinator/ctl/table.h"

#include <algorithm>

namespace grl::coordinator {

Table::Table(std::vector<std::string> headings) {
    for (std::string& h : headings) {
        right_.push_back(!h.empty() && h.front() == '>');
        if (right_.back()) h.erase(0, 1);
    }
    rows_.push_back(std::move(headings));
}

void Table::add(std::vector<std::string> row) {
    row.resize(right_.size());
    rows_.push_back(std::move(row));
}

std::string Table::text(std::size_t indent) const {
    std::vector<std::size_t> width(right_.size(), 0);
    std::vector<bool> used(right_.size(), false);
    for (std::size_t r = 0; r < rows_.size(); ++r) {
        for (std::size_t c = 0; c < right_.size(); ++c) {
            width[c] = std::max(width[c], rows_[r][c].size());
            used[c] = used[c] || (r > 0 && !rows_[r][c].empty());
        }
    }
    std::string out;
    for (const auto& row : rows_) {
        std::string line;
        for (std::size_t c = 0; c < right_.size(); ++c) {
            if (!used[c]) continue;
            if (!line.empty()) line += "  ";
            const std::string pad(width[c] - row[c].size(), ' ');
            line += right_[c] ? pad + row[c] : row[c] + pad;
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += std::string(indent, ' ') + line + "\n";
    }
    return out;
}

}  // namespace grl::coordinator
