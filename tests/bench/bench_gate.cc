// The gate's fast path against the same call without it. Goal: at most 5 ns a call more.
#include <benchmark/benchmark.h>

#include "grl/page/gate.h"

namespace {

grl::Gate g_gate;

[[gnu::noinline]] int call(int x) {
    benchmark::DoNotOptimize(x);
    return x;
}

[[gnu::noinline]] int gated_get(int x) {
    const grl::GatePass pass(g_gate, grl::CallClass::one_sided);
    const int result = call(x);
    pass.complete(1);
    return result;
}

[[gnu::noinline]] int gated_wait(int x) {
    const grl::GatePass pass(g_gate, grl::CallClass::waiting);
    return call(x);
}

void empty_call(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(call(1));
}

void one_sided_call(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(gated_get(1));
}

void waiting_call(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(gated_wait(1));
}

BENCHMARK(empty_call);
BENCHMARK(one_sided_call);
BENCHMARK(waiting_call);

}  // namespace

BENCHMARK_MAIN();
