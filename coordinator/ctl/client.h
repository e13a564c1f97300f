// grlctl's side of the connection: one question, its progress, its answer. Blocks until the answer
// is there, or until the coordinator has said nothing for kSilence (it speaks every second).
#pragma once

#include <functional>
#include <string>

#include "grl/wire/handshake.h"

namespace grl::coordinator {

inline constexpr Milliseconds kConnectLimit{5000};
inline constexpr Milliseconds kSilence{20'000};

class CtlClient {
  public:
    explicit CtlClient(std::string server) : server_(std::move(server)) {}

    using Progress = std::function<void(const json::object&)>;
    template <class Question>
    Result<json::object> ask(const Question& question, Progress progress = {}) {
        return ask_raw(Question::kType, to_json(question).as_object(), std::move(progress));
    }

  private:
    Result<json::object> ask_raw(const std::string& type, json::object body, Progress progress);
    std::string server_;
};

}  // namespace grl::coordinator
