// Cores, queues and flags: what is issued is checked at once and executed out of step.
//
// Nothing runs until it must. Then queues are taken in a random order that a seed decides, each as
// far as its flags let it go: what no flag orders happens at the wrong time and shows in the result.
// Beside that, each instruction is checked against the last readers and writers of its bytes when it
// is issued, so that a missing flag is named.
#include "model.h"

#include <ucontext.h>

#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>

#include "state.h"

namespace ascend_model {
namespace {

struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    bool done = false;
    std::exception_ptr error;
};
constexpr size_t kStackBytes = 1 << 20;

KernelType kernel_type;
std::vector<Core> cores;
Core *current = nullptr;
int block_index, block_count;
uint64_t random_state;
std::string printed;  // the last line
uint64_t progress;  // grows with everything that is issued or executed
int cross_raised[3][kCrossEvents];   // what each core can see
int cross_pending[2][kCrossEvents];  // raised by one vector core, not yet by the other
std::vector<std::pair<Core *, Queue>> order;
std::vector<Fiber> fibers;
ucontext_t scheduler;
void (*kernel)(void *);
void *kernel_context;

uint64_t Random() {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

int64_t Capacity(Memory memory) {
    switch (memory) {
        case Memory::kUb: return (Unified() ? 256 : 192) << 10;
        case Memory::kL1: return (Unified() ? 1024 : 512) << 10;
        case Memory::kL0C: return (Unified() ? 256 : 128) << 10;
        default: return 64 << 10;
    }
}

bool Has(const Core &core, Memory memory) {
    return kernel_type == KernelType::kUnified || core.cube == (memory != Memory::kUb);
}

// ---- execution ----------------------------------------------------------------------------------

void RaiseCross(Core &core, int event) {
    auto count = [&](int &counter) {
        if (++counter > 15) Fail("CrossCoreSetFlag: flag " + std::to_string(event) + " passes 15");
    };
    if (core.number == 0) {
        count(cross_raised[1][event]);
        count(cross_raised[2][event]);
        return;
    }
    count(cross_pending[core.number - 1][event]);
    if (cross_pending[0][event] > 0 && cross_pending[1][event] > 0) {
        --cross_pending[0][event];
        --cross_pending[1][event];
        count(cross_raised[0][event]);
    }
}

// Do the first item of a queue, if it may be done now.
bool DoFirst(Core &core, Queue queue) {
    auto &items = core.queues[int(queue)];
    if (items.empty()) return false;
    Item &item = items.front();
    switch (item.kind) {
        case Item::kDo: {
            const auto run = std::move(item.run);
            items.pop_front();
            run();
            return true;
        }
        case Item::kRaise: ++core.events[int(queue)][int(item.other)][item.number].raised; break;
        case Item::kAwait: {
            int &raised = core.events[int(item.other)][int(queue)][item.number].raised;
            if (raised == 0) return false;
            --raised;
            break;
        }
        case Item::kJoin:
            if (!item.arrived) {
                item.arrived = true;
                --core.joins[item.number];
            }
            if (core.joins[item.number] > 0) return false;
            break;
        case Item::kGate: {
            auto &[event, open] = core.gates[item.number];
            if (!open && cross_raised[core.number][event] == 0) return false;
            if (!open) --cross_raised[core.number][event];
            open = true;
            break;
        }
        case Item::kCross: RaiseCross(core, item.number); break;
    }
    items.pop_front();
    return true;
}

void Shuffle() {
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[Random() % i]);
}

// Let the first queue that can go on do so, for a while; false if none can.
bool Step() {
    if (Random() % 8 == 0) Shuffle();
    for (auto &[core, queue] : order) {
        Core *const issuing = current;
        current = core;
        bool moved = false;
        while (DoFirst(*core, queue)) {
            moved = true;
            ++progress;
            if (Random() % 16 == 0) break;
        }
        current = issuing;
        if (moved) return true;
    }
    return false;
}

[[noreturn]] void Deadlock() {
    std::string text = "deadlock:";
    for (auto &core : cores) {
        for (int q = 0; q < kQueues; ++q) {
            if (core.queues[q].empty()) continue;
            const Item &item = core.queues[q].front();
            text += " " + core.name + " " + NameOf(Queue(q)) + " waits for ";
            if (item.kind == Item::kAwait)
                text += std::string(NameOf(item.other)) + "_" + NameOf(Queue(q)) + " event " +
                        std::to_string(item.number);
            else if (item.kind == Item::kGate)
                text += "cross-core flag " + std::to_string(core.gates[item.number].first);
            else
                text += "the other queues";
            text += ";";
        }
    }
    Fail(text);
}

bool Mixed() { return kernel_type == KernelType::kMix1To2; }

// Let the other cores of the block issue more.
void Yield() {
    Core *const core = current;
    swapcontext(&fibers[core->number].context, &scheduler);
    current = core;
}

void FiberMain() {
    Fiber &fiber = fibers[current->number];
    const int number = current->number;
    try {
        kernel(kernel_context);
    } catch (...) {
        fiber.error = std::current_exception();
    }
    fibers[number].done = true;
    swapcontext(&fibers[number].context, &scheduler);
}

// ---- blocks -------------------------------------------------------------------------------------

void CheckEnd(Core &core) {
    current = &core;
    if (core.pipe_open) Fail("TPipe: Destroy() is missing");
    if (core.selects && core.high)
        Fail("Select: its modes 1 and 2 keep UB from " + std::to_string(SelectStart() >> 10) +
             " KB on for themselves");
    if (core.atomic != Atomic::kNone) Fail("SetAtomicNone is missing at the end");
    for (int s = 0; s < kQueues; ++s)
        for (int d = 0; d < kQueues; ++d)
            for (int e = 0; e < kEvents; ++e)
                if (core.events[s][d][e].set)
                    Fail(std::string("SetFlag<") + NameOf(Queue(s)) + "_" + NameOf(Queue(d)) +
                         ">: event " + std::to_string(e) + " is still set at the end");
    for (int e = 0; e < kCrossEvents; ++e)
        if (cross_raised[core.number][e] != 0 ||
            (core.number > 0 && cross_pending[core.number - 1][e] != 0))
            Fail("CrossCoreSetFlag: flag " + std::to_string(e) + " is still raised at the end");
}

void RunMixed() {
    fibers.clear();
    fibers.resize(cores.size());
    for (auto &core : cores) {
        Fiber &fiber = fibers[core.number];
        fiber.stack = std::make_unique<char[]>(kStackBytes);
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.get();
        fiber.context.uc_stack.ss_size = kStackBytes;
        fiber.context.uc_link = &scheduler;
        makecontext(&fiber.context, FiberMain, 0);
    }
    for (bool all_done = false; !all_done;) {
        const uint64_t before = progress;
        all_done = true;
        bool finished = false;
        for (auto &core : cores) {
            Fiber &fiber = fibers[core.number];
            if (fiber.done) continue;
            current = &core;
            swapcontext(&scheduler, &fiber.context);
            if (fiber.error) std::rethrow_exception(fiber.error);
            finished |= fiber.done;
            all_done &= fiber.done;
        }
        if (!all_done && !finished && progress == before) Deadlock();
    }
}

void MakeCores() {
    cores.clear();
    cores.resize(Mixed() ? 3 : 1);
    for (size_t i = 0; i < cores.size(); ++i) {
        cores[i].number = int(i);
        cores[i].cube = kernel_type == KernelType::kCubeOnly || (Mixed() && i == 0);
        cores[i].name = !Mixed() ? "core" : i == 0 ? "cube core" : "vector core " + std::to_string(i - 1);
    }
    order.clear();
    for (auto &core : cores)
        for (int q = 1; q < kQueues; ++q) order.emplace_back(&core, Queue(q));
    Shuffle();
    std::memset(cross_raised, 0, sizeof cross_raised);
    std::memset(cross_pending, 0, sizeof cross_pending);
}

void RunBlock() {
    MakeCores();
    if (Mixed()) {
        RunMixed();
    } else {
        current = &cores[0];
        kernel(kernel_context);
    }
    while (Step()) {
    }
    for (auto &core : cores)
        for (auto &items : core.queues)
            if (!items.empty()) Deadlock();
    for (auto &core : cores) CheckEnd(core);
}

}  // namespace

// ---- names and errors ---------------------------------------------------------------------------

int SizeOf(Type type) {
    if (type <= Type::kI8) return 1;
    if (type <= Type::kBf16) return 2;
    return type <= Type::kF32 ? 4 : 8;
}
const char *NameOf(Type type) {
    static const char *const names[] = {"uint8_t", "int8_t", "uint16_t", "int16_t", "half",
                                        "bfloat16_t", "uint32_t", "int32_t", "float", "uint64_t",
                                        "int64_t", "double"};
    return names[int(type)];
}
const char *NameOf(Memory memory) {
    static const char *const names[] = {"UB", "L1", "L0A", "L0B", "L0C"};
    return names[int(memory)];
}
const char *NameOf(Queue queue) {
    static const char *const names[] = {"S", "MTE1", "MTE2", "MTE3", "V", "M", "FIX"};
    return names[int(queue)];
}

Core &Current() { return *current; }
bool Unified() { return kernel_type == KernelType::kUnified; }

void Fail(const std::string &text) {
    std::string where = "block " + std::to_string(block_index);
    if (current) where += ", " + current->name;
    throw Error{where + ": " + text};
}
void Print(const char *line) {
    printed = line;
    std::fputs(line, stdout);
    std::fflush(stdout);
}
void Trap() {
    while (!printed.empty() && printed.back() == '\n') printed.pop_back();
    throw Error{"trap: " + printed};
}
void Fail(const char *instruction, const char *rule) {
    Fail(std::string(instruction) + ": " + rule);
}

// ---- issuing ------------------------------------------------------------------------------------

Instruction::Instruction(const char *name, Queue queue)
    : name_(name), queue_(queue), number_(++current->issued[int(queue)]), core_(*current) {
    ++progress;
    if (current->pipe_open) Stop("TPipe: Destroy() comes first");
}

void Instruction::Stop(const std::string &text) const { Fail(std::string(name_) + ": " + text); }

void Instruction::Require(bool ok, const char *rule) const {
    if (!ok) Stop(rule);
}

void Instruction::Range(const char *what, int64_t value, int64_t low, int64_t high) const {
    if (value < low || value > high)
        Stop(std::string(what) + " is " + std::to_string(value) + ", allowed are " +
             std::to_string(low) + " to " + std::to_string(high));
}

void Instruction::Align(const char *what, const Place &place, int64_t bytes) const {
    if (place.at % bytes != 0)
        Stop(std::string(what) + " at " + NameOf(place.memory) + " byte " + std::to_string(place.at) +
             " is not aligned to " + std::to_string(bytes) + " bytes");
}

Shadow *Instruction::Blocks(const char *what, const Place &place, int64_t offset, int64_t bytes,
                            int64_t *n) {
    const int64_t first = place.at + offset, last = first + bytes;
    if (first < place.begin || last > place.end)
        Stop(std::string(what) + " takes " + NameOf(place.memory) + " bytes " + std::to_string(first) +
             " to " + std::to_string(last) + ", its buffer has " + std::to_string(place.begin) +
             " to " + std::to_string(place.end));
    if (place.memory == Memory::kUb && last > SelectStart()) core_.high = true;
    *n = (last + kBlock - 1) / kBlock - first / kBlock;
    return &core_.shadow[int(place.memory)][first / kBlock];
}

bool Instruction::Done(Queue queue, uint32_t number) const {
    return number <= core_.known[int(queue_)][int(queue)] ||
           number <= core_.known[int(Queue::kS)][int(queue)];
}

void Instruction::Hazard(const char *what, const Place &place, int64_t offset, Queue other,
                         const char *did) const {
    std::string text = std::string(what) + " at " + NameOf(place.memory) + " byte " +
                       std::to_string(place.at + offset) + ": ";
    if (other == queue_)
        text += std::string(did) + " by this queue, and PipeBarrier<PIPE_" + NameOf(other) +
                "> is missing";
    else
        text += std::string(did) + " by " + NameOf(other) + ", and no flag " + NameOf(other) + "_" +
                NameOf(queue_) + " orders the two";
    Stop(text);
}

void Instruction::Read(const char *what, const Place &place, int64_t offset, int64_t bytes) {
    if (bytes <= 0) return;
    int64_t n;
    Shadow *block = Blocks(what, place, offset, bytes, &n);
    for (; n > 0; --n, ++block) {
        const bool own = block->writer == queue_ && (queue_ != Queue::kV || block->write == number_);
        if (!own && !Done(block->writer, block->write)) Hazard(what, place, offset, block->writer, "written");
        block->read[int(queue_)] = number_;
    }
}

void Instruction::Write(const char *what, const Place &place, int64_t offset, int64_t bytes) {
    if (bytes <= 0) return;
    int64_t n;
    Shadow *block = Blocks(what, place, offset, bytes, &n);
    for (; n > 0; --n, ++block) {
        for (int q = 0; q < kQueues; ++q)
            if (Queue(q) != queue_ && !Done(Queue(q), block->read[q]))
                Hazard(what, place, offset, Queue(q), "read");
        const bool own = block->writer == queue_ && (queue_ != Queue::kMte2 || block->write == number_);
        if (!own && !Done(block->writer, block->write)) Hazard(what, place, offset, block->writer, "written");
        block->write = number_;
        block->writer = queue_;
    }
}

void Instruction::Check(const char *what, const Global &place, int64_t offset, int64_t bytes) const {
    const int64_t first = place.at + offset;
    if (bytes > 0 && (first < 0 || first + bytes > place.size))
        Stop(std::string(what) + " takes bytes " + std::to_string(first) + " to " +
             std::to_string(first + bytes) + " of a tensor of " + std::to_string(place.size));
}

uint8_t *Instruction::Pointer(const Place &place) const {
    return core_.memory[int(place.memory)] + place.at;
}

void Instruction::Do(std::function<void()> run) {
    core_.queues[int(queue_)].push_back({Item::kDo, Queue::kS, 0, false, std::move(run)});
}

// ---- flags --------------------------------------------------------------------------------------

namespace {

void Learn(Core &core, Queue queue, const uint32_t *done) {
    for (int q = 0; q < kQueues; ++q) {
        uint32_t &known = core.known[int(queue)][q];
        if (done[q] > known) known = done[q];
    }
}

Event &EventOf(const char *name, Queue src, Queue dst, int64_t number) {
    if (number < 0 || number >= kEvents)
        Fail(name, "event ids are 0 to 7");
    return current->events[int(src)][int(dst)][number];
}

std::string EventName(const char *name, Queue src, Queue dst, int64_t number) {
    return std::string(name) + "<" + NameOf(src) + "_" + NameOf(dst) + ">: event " +
           std::to_string(number);
}

}  // namespace

void SetFlag(Queue src, Queue dst, int64_t number) {
    ++progress;
    Core &core = *current;
    Event &event = EventOf("SetFlag", src, dst, number);
    if (event.set) Fail(EventName("SetFlag", src, dst, number) + " is set already");
    event.set = true;
    std::memcpy(event.done, core.known[int(src)], sizeof event.done);
    for (int q = 0; q < kQueues; ++q)
        if (core.known[int(Queue::kS)][q] > event.done[q]) event.done[q] = core.known[int(Queue::kS)][q];
    event.done[int(src)] = core.issued[int(src)];
    if (src == Queue::kS)
        ++event.raised;
    else
        core.queues[int(src)].push_back({Item::kRaise, dst, int(number), false, nullptr});
}

void WaitFlag(Queue src, Queue dst, int64_t number) {
    ++progress;
    Core &core = *current;
    Event &event = EventOf("WaitFlag", src, dst, number);
    if (!event.set) Fail(EventName("WaitFlag", src, dst, number) + " is not set");
    event.set = false;
    Learn(core, dst, event.done);
    if (dst != Queue::kS) {
        core.queues[int(dst)].push_back({Item::kAwait, src, int(number), false, nullptr});
        return;
    }
    while (event.raised == 0) {
        if (Step()) continue;
        if (!Mixed()) Deadlock();
        Yield();
    }
    --event.raised;
}

void Barrier(Queue queue) {
    ++progress;
    current->known[int(queue)][int(queue)] = current->issued[int(queue)];
}

void BarrierAll() {
    ++progress;
    Core &core = *current;
    core.joins.push_back(kQueues - 1);
    for (int q = 0; q < kQueues; ++q) {
        if (Queue(q) != Queue::kS)
            core.queues[q].push_back(
                {Item::kJoin, Queue::kS, int(core.joins.size()) - 1, false, nullptr});
        Learn(core, Queue(q), core.issued);
    }
    const size_t join = core.joins.size() - 1;
    while (core.joins[join] > 0) {
        if (Step()) continue;
        if (!Mixed()) Deadlock();
        Yield();
    }
}

void CrossSet(Queue queue, int64_t event) {
    ++progress;
    if (!Mixed()) Fail("CrossCoreSetFlag", "the kernel type must be MIX");
    if (event < 0 || event > 10) Fail("CrossCoreSetFlag", "flags 0 to 10 are free");
    if (queue == Queue::kS)
        RaiseCross(*current, int(event));
    else
        current->queues[int(queue)].push_back({Item::kCross, Queue::kS, int(event), false, nullptr});
}

void CrossWait(int64_t event) {
    ++progress;
    if (!Mixed()) Fail("CrossCoreWaitFlag", "the kernel type must be MIX");
    if (event < 0 || event > 10) Fail("CrossCoreWaitFlag", "flags 0 to 10 are free");
    Core &core = *current;
    core.gates.emplace_back(int(event), false);
    for (int q = 1; q < kQueues; ++q)
        core.queues[q].push_back({Item::kGate, Queue::kS, int(core.gates.size()) - 1, false, nullptr});
}

// ---- the scalar unit ----------------------------------------------------------------------------

const uint8_t *Read(const Place &place, int64_t bytes) {
    Instruction in("GetValue", Queue::kS);
    in.Read("src", place, 0, bytes);
    return in.Pointer(place);
}

void Write(const Place &place, const void *value, int64_t bytes) {
    Instruction in("SetValue", Queue::kS);
    in.Write("dst", place, 0, bytes);
    std::memcpy(in.Pointer(place), value, size_t(bytes));
}

const uint8_t *Read(const Global &place, int64_t bytes) {
    const Instruction in("GetValue", Queue::kS);
    in.Check("src", place, 0, bytes);
    return place.base + place.at;
}

void OpenPipe() {
    current->pipe_open = true;
    if (current->cube)  // the constructor of TPipe takes these
        for (int e = 0; e < 3; ++e)
            current->events[int(Queue::kM)][int(Queue::kMte1)][e].set = true;
}

void ClosePipe() {
    current->pipe_open = false;
    if (current->cube)
        for (int e = 0; e < 3; ++e)
            current->events[int(Queue::kM)][int(Queue::kMte1)][e].set = false;
}

Place Allocate(Memory memory, int64_t bytes) {
    Core &core = *current;
    const int m = int(memory);
    const std::string what = std::string("InitBuffer: ") + NameOf(memory);
    if (!Has(core, memory)) Fail(what + " is not on this core");
    if (bytes <= 0 || bytes % kBlock != 0) Fail(what + ": the size must be a multiple of 32 bytes");
    if (core.allocated[m] != 0) Fail(what + " has one buffer in this style");
    if (bytes > Capacity(memory))
        Fail(what + " has " + std::to_string(Capacity(memory)) + " bytes, asked for " +
             std::to_string(bytes));
    core.allocated[m] = bytes;
    core.storage[m].assign(size_t(bytes) + 1024, 0xFF);
    core.memory[m] = core.storage[m].data() + (1024 - uintptr_t(core.storage[m].data()) % 1024);
    core.shadow[m].assign(size_t(bytes / kBlock), Shadow{});
    return {memory, 0, bytes, 0};
}

void CheckKernelType(KernelType type) {
    if (type != kernel_type) Fail("KERNEL_TASK_TYPE_DEFAULT is not what the launch says");
}
int64_t BlockIndex() {
    return Mixed() && !current->cube ? block_index * 2 + current->number - 1 : block_index;
}
int64_t BlockCount() { return block_count; }
int64_t SubBlock() { return Mixed() && !current->cube ? current->number - 1 : 0; }
bool IsCube() { return current->cube; }

int Launch(KernelType type, int blocks, unsigned seed, void (*run)(void *), void *context,
           char *error, int error_size) {
    kernel_type = type;
    kernel = run;
    kernel_context = context;
    block_count = blocks;
    random_state = (uint64_t(seed) + 1) * 0x9E3779B97F4A7C15u;
    progress = 0;
    current = nullptr;
    try {
        if (blocks < 1 || blocks > 65535) Fail("launch: 1 to 65535 blocks");
        for (block_index = 0; block_index < blocks; ++block_index) RunBlock();
    } catch (const Error &e) {
        std::snprintf(error, size_t(error_size), "%s", e.text.c_str());
        cores.clear();
        fibers.clear();
        return 1;
    } catch (const std::exception &e) {
        std::snprintf(error, size_t(error_size), "the model failed: %s", e.what());
        cores.clear();
        fibers.clear();
        return 2;
    }
    cores.clear();
    return 0;
}

}  // namespace ascend_model
