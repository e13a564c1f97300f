// The table of ARMCI functions as data, and what nm says of archives and programs.
#pragma once

#include <sys/wait.h>

#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace grl {

using Names = std::set<std::string>;

struct ArmciRow {
    std::string kind, name;
    std::string pname;  // empty without one
    bool wrapped = false;

    bool plain() const { return pname.empty() && !wrapped; }
    // A wrapper of ours takes its place.
    bool interposed() const { return wrapped || (!plain() && kind != "local"); }
};

inline const std::vector<ArmciRow>& armci_table() {
#define GRL_ARMCI(kind, type, name, pname, parameters, arguments, target) \
    {#kind, #name, #pname, false},
#define GRL_ARMCI_WRAP(kind, type, name, parameters, arguments) {#kind, #name, "", true},
#define GRL_ARMCI_PLAIN(kind, name) {#kind, #name, "", false},
    static const std::vector<ArmciRow> table = {
#include "armci_patch/armci_functions.def"
    };
    return table;
}

struct Ran {
    int status;  // the shell's
    std::string output;
};

inline Ran run(const std::string& command) {
    std::FILE* pipe = popen(command.c_str(), "r");
    Ran ran{-1, {}};
    char buffer[4096];
    while (pipe != nullptr && std::fgets(buffer, sizeof buffer, pipe) != nullptr)
        ran.output += buffer;
    const int status = pipe != nullptr ? pclose(pipe) : -1;
    if (WIFEXITED(status)) ran.status = WEXITSTATUS(status);
    return ran;
}

inline std::string first_line(const std::string& command) {
    const std::string text = run(command).output;
    return text.substr(0, text.find('\n'));
}

// Where the compiler finds an archive; its bare name when it does not.
inline std::string archive_path(const std::string& name) {
    return first_line("cc -print-file-name=" + name);
}

// Letters that nm gives each symbol of an object, an archive or a program.
inline std::map<std::string, std::string> symbols(const std::string& file) {
    std::istringstream lines(run("nm '" + file + "' 2>/dev/null").output);
    std::map<std::string, std::string> letters;
    for (std::string line; std::getline(lines, line);) {
        // The address is missing where the symbol is undefined.
        const std::size_t space = line.rfind(' ');
        if (space == std::string::npos || space == 0 || line.back() == ':') continue;
        letters[line.substr(space + 1)] += line[space - 1];
    }
    return letters;
}

inline Names symbols(const std::string& file, char letter) {
    Names names;
    for (const auto& [name, letters] : symbols(file))
        if (letters.find(letter) != std::string::npos) names.insert(name);
    return names;
}

// Of ARMCI's name space: the functions of the API and their P-names.
inline bool armci_name(const std::string& name) {
    for (const char* prefix : {"ARMCI_", "ARMCIX_", "armci_", "PARMCI_", "parmci_"})
        if (name.starts_with(prefix)) return true;
    return false;
}

}  // namespace grl
