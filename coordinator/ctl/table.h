// Text in aligned columns: numbers to the right, words to the left, the last column not padded.
#pragma once

#include <string>
#include <vector>

namespace grl::coordinator {

class Table {
  public:
    // A heading that begins with '>' is a column of numbers.
    explicit Table(std::vector<std::string> headings);
    void add(std::vector<std::string> row);
    bool empty() const { return rows_.size() <= 1; }
    // Each line with its newline; `indent` blanks before it. Columns without a word are left out.
    std::string text(std::size_t indent = 0) const;

  private:
    std::vector<bool> right_;
    std::vector<std::vector<std::string>> rows_;
};

}  // namespace grl::coordinator
