#include "spank/master_options.h"

#include <boost/program_options.hpp>
#include <sstream>

namespace grl {
namespace {

namespace po = boost::program_options;

constexpr std::uint32_t kMostLocalRanks = 4096;  // a page of 256 KiB
constexpr std::uint32_t kMostRanks = 1U << 24;

// strtoul would take "-1", and so would lexical_cast.
struct Number {
    std::uint32_t value = 0;
};
std::istream& operator>>(std::istream& in, Number& number) {
    std::string text;
    in >> text;
    const bool digits = !text.empty() && text.size() <= 10 &&
                        text.find_first_not_of("0123456789") == std::string::npos;
    const std::uint64_t value = digits ? std::stoull(text) : ~std::uint64_t{0};
    if (value > 0xffffffffU) in.setstate(std::ios::failbit);
    number.value = static_cast<std::uint32_t>(value);
    return in;
}

auto number(std::uint32_t& into) {
    return po::value<Number>()->notifier([&into](const Number& n) { into = n.value; });
}

Error bad(const std::string& why) {
    return fail("reading grl-master's options", "", why, ErrorKind::usage);
}

std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> words;
    std::istringstream in(text);
    for (std::string word; std::getline(in, word, ',');) words.push_back(word);
    return words;
}

std::string fault(const MasterOptions& o) {
    if (o.facts.job == 0) return "--job is missing";
    if (o.limit.count() < 100) return "--limit-ms must be 100 or more";
    if (o.check) return o.node_list.empty() ? "--nodes is missing" : "";
    if (o.facts.node.empty()) return "--node is missing";
    if (o.page.empty() || o.page[0] != '/') return "--page must be an absolute path";
    if (o.facts.local_ranks == 0 || o.facts.local_ranks > kMostLocalRanks) {
        return "--local-ranks must be 1 to " + std::to_string(kMostLocalRanks);
    }
    if (o.facts.ranks < o.facts.local_ranks || o.facts.ranks > kMostRanks) {
        return "--ranks must be --local-ranks to " + std::to_string(kMostRanks);
    }
    return o.facts.nodes == 0 ? "--node-count is missing" : "";
}

}  // namespace

Result<MasterOptions> parse_master_options(int argc, const char* const argv[]) {
    MasterOptions o;
    std::string coordinator, node_list;
    std::uint32_t limit_ms = 5000;
    po::options_description all("grl-master, started by spank_grl.so");
    auto add = all.add_options();
    add("check", po::bool_switch(&o.check), "");
    add("foreground", po::bool_switch(&o.foreground), "");
    add("coordinator", po::value(&coordinator)->required(), "");
    add("munge-socket", po::value(&o.munge_socket), "");
    add("job", number(o.facts.job), "");
    add("step", number(o.facts.step), "");
    add("nodes", po::value(&node_list), "");  // of a check, with commas between
    add("node", po::value(&o.facts.node), "");
    add("node-count", number(o.facts.nodes), "");
    add("ranks", number(o.facts.ranks), "");
    add("local-ranks", number(o.facts.local_ranks), "");
    add("uid", number(o.facts.uid), "");
    add("every", number(o.facts.every_s), "");
    add("page", po::value(&o.page), "");
    add("log", po::value(&o.log), "");
    add("limit-ms", number(limit_ms), "");
    try {  // program_options throws
        po::variables_map values;
        po::store(po::command_line_parser(argc, argv)
                      .options(all)
                      .style(po::command_line_style::allow_long |
                             po::command_line_style::long_allow_next |
                             po::command_line_style::long_allow_adjacent)
                      .positional({})
                      .run(),
                  values);
        po::notify(values);
    } catch (const std::exception& e) {
        return bad(e.what());
    }
    Result<Endpoint> endpoint = parse_endpoint(coordinator);
    if (!endpoint) return endpoint.error();
    o.coordinator = *endpoint;
    o.node_list = split(node_list);
    o.limit = Milliseconds(limit_ms);
    const std::string why = fault(o);
    if (!why.empty()) return bad(why);
    return o;
}

}  // namespace grl
