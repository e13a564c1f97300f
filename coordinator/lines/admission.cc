// Whether a job can take a line now, and who takes part.
#include <set>

#include "coordinator/lines/lines.h"
#include "grl/messages/guests.h"

namespace grl::coordinator {

namespace {

Error job_over(std::uint32_t job, const std::string& state) {
    return fail("a line of job " + std::to_string(job), "", "the job is over (" + state + ")",
                ErrorKind::not_found);
}

}  // namespace

Error put_off(std::uint32_t job, const std::string& why) {
    return fail("a line of job " + std::to_string(job), "", why, ErrorKind::refused);
}

Error no_step(std::uint32_t job) {
    return fail("a line of job " + std::to_string(job), "",
                "the job has no protected step (srun --grl-checkpoint)", ErrorKind::not_found);
}

// Here first, then by Slurm, then here again, as time has passed; the number comes last, so that a
// request that is put off takes none.
void Lines::admit(std::uint32_t id, const Shape& shape,
                  const std::function<void(Result<LineOrder>)>& then) {
    if (auto step = line_step(parts_.steps, parts_.hosts, id); !step) return then(step.error());
    const Milliseconds limit(parts_.config.deadlines.prepare_ms);
    parts_.slurm.look(id, limit, [this, id, shape, then](const Result<JobFacts>& facts) {
        if (!facts) return then(put_off(id, facts.error().text()));
        if (facts->over) return then(job_over(id, facts->state));
        if (!facts->running) return then(put_off(id, "the job is " + facts->state));
        if (!facts->sharing.empty()) return then(put_off(id, facts->sharing));
        if (auto possible = order(id, shape, *facts); !possible) return then(possible.error());
        number(id, shape, *facts, then);
    });
}

void Lines::number(std::uint32_t id, const Shape& shape, const JobFacts& facts,
                   const std::function<void(Result<LineOrder>)>& then) {
    struct Numbers {
        std::uint32_t line, generation;
    };
    auto take = [id](Catalog& c) -> Result<Numbers> {
        auto generation = c.generation(id);
        if (!generation) return generation.error();
        auto line = c.take_line(id);
        if (!line) return line.error();
        return Numbers{*line, *generation};
    };
    auto settle = [this, id, shape, facts, then](const Numbers& numbers) {
        auto order = this->order(id, shape, facts);
        if (!order) return then(order.error());
        Step& step = **line_step(parts_.steps, parts_.hosts, id);
        order->id.line = numbers.line;
        order->generation = std::max(numbers.generation, step.generation);
        order->attempt = ++step.attempt;
        then(std::move(order));
    };
    parts_.sweep.when_quiet([this, take, settle, then] {
        parts_.store.run(take, [this, settle, then](const Result<Numbers>& numbers) {
            if (!numbers) return then(numbers.error());
            // A sweep that has begun since does not know this number: after it.
            parts_.sweep.when_quiet([settle, numbers = *numbers] { settle(numbers); });
        });
    });
}

Result<LineOrder> Lines::order(std::uint32_t id, const Shape& shape, const JobFacts& facts) {
    auto step = line_step(parts_.steps, parts_.hosts, id);
    if (!step) return step.error();
    auto order = line_order(**step, parts_.hosts, facts.nodes);
    if (!order) return order;
    order->life = facts.life;
    if (auto shaped = shape(*order, facts); !shaped) return shaped.error();
    return order;
}

Result<void> can_be_kept(const LineOrder& order) {
    for (const LineHost& host : order.hosts) {
        if (!host.store_fault.empty()) return put_off(order.id.job, host.store_fault);
    }
    return {};
}

Result<Step*> line_step(Steps& steps, const Hosts& hosts, std::uint32_t job) {
    Step* found = nullptr;
    for (Step* step : steps.of_job(job)) {
        if (step->deserted()) continue;
        if (found) {
            return put_off(job, "steps " + std::to_string(found->step) + " and " +
                                    std::to_string(step->step) +
                                    " run at the same time; a line covers one step");
        }
        found = step;
    }
    if (!found) return put_off(job, "no master of the job is connected");
    const std::string obstacle = line_obstacle(*found, hosts);
    if (!obstacle.empty()) return put_off(job, obstacle);
    return found;
}

// All guests of the job, not of the step only: the batch script may sit on another node of it.
Result<LineOrder> line_order(const Step& step, const Hosts& hosts,
                             const std::vector<std::string>& job_nodes) {
    LineOrder order;
    order.id.job = step.job;
    order.step = step.step;
    order.uid = step.uid;
    order.every_s = step.every_s;
    order.store = hosts.store();
    std::set<std::string> guests(job_nodes.begin(), job_nodes.end());
    for (const auto& [node, member] : step.members) {
        guests.insert(node);
        order.members.push_back({node, member.channel});
    }
    std::map<std::string, LineHost> by_name;
    for (const std::string& guest : guests) {
        auto home = hosts.home_of(guest);
        if (!home) return put_off(step.job, home.error().why);
        const Host& host = **home;
        LineHost& line_host = by_name[host.name];
        line_host.name = host.name;
        line_host.channel = host.channel;
        line_host.driver = host.inventory.driver;
        line_host.vmm_version = host.inventory.vmm_version;
        line_host.store_fault = hosts.store_fault(host);
        for (const GuestInfo& g : host.inventory.guests) {
            if (g.name == guest) line_host.guests.push_back(g);
        }
    }
    for (auto& [name, host] : by_name) {
        if (!order.hosts.empty() && order.hosts.front().driver != host.driver) {
            return put_off(step.job, "hosts " + order.hosts.front().name + " and " + name +
                                         " run different VMMs");
        }
        order.hosts.push_back(std::move(host));
    }
    return order;
}

}  // namespace grl::coordinator
