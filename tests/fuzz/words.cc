// What users and administrators write for the plugin: --grl-checkpoint, what srun hands to slurmstepd in the
// environment (where a user can put anything), and the arguments in plugstack.conf, one a line of the input.
#include <cstring>
#include <vector>

#include "spank/arguments.h"
#include "spank/wish.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    std::string text(grl::fuzz::text_of(bytes, size));
    char written[32];

    grl_wish wish{};
    if (grl_wish_parse(text.c_str(), &wish)) {
        grl_wish again{};
        grl_wish_format(wish, written, sizeof written);
        grl::fuzz::must(grl_wish_parse(written, &again) && again.answer == wish.answer &&
                        again.every_s == wish.every_s);
    }
    grl_decision decision{};
    if (grl_decision_parse(text.c_str(), &decision)) {
        grl_decision again{};
        grl_decision_format(decision, written, sizeof written);
        grl::fuzz::must(grl_decision_parse(written, &again) && again.protect == decision.protect &&
                        again.asked == decision.asked && again.every_s == decision.every_s);
    }
    std::vector<char*> words{text.data()};
    for (char& c : text) {
        if (c != '\n') continue;
        c = '\0';
        words.push_back(&c + 1);
    }
    grl_arguments read{};
    char why[120] = "";
    const bool good = grl_arguments_parse(static_cast<int>(words.size()), words.data(), &read, why, sizeof why);
    grl::fuzz::must(good || *why != '\0');
    grl::fuzz::must(!good || (read.deadline_s >= 1 && read.deadline_s <= 60));
    return 0;
}
