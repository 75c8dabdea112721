// The state of the model: cores with their memories, queues, flags, and what is known to be done.
#ifndef TILEDSL_ASCEND_STATE_H
#define TILEDSL_ASCEND_STATE_H

#include <cstddef>
#include <algorithm>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "model.h"

namespace ascend_model {

constexpr int kEvents = 8;
constexpr int kCrossEvents = 16;
constexpr int64_t kBlock = 32;

struct Error {
    std::string text;
};

// What is waiting in a queue.
struct Item {
    enum Kind : uint8_t { kDo, kRaise, kAwait, kJoin, kGate, kCross } kind;
    Queue other = Queue::kS;
    int number = 0;
    bool arrived = false;
    std::function<void()> run;
};

// Who last wrote and read 32 bytes; an instruction is known by its queue and its number there.
struct Shadow {
    uint32_t write = 0;
    Queue writer = Queue::kS;
    uint32_t read[kQueues] = {};
};

struct Event {
    bool set = false;             // in the order of issue: set and not yet waited for
    int raised = 0;               // in the order of execution
    uint32_t done[kQueues] = {};  // what is done when it is raised
};

struct Core {
    std::string name;
    int number = 0;  // 0: the cube core of a mixed kernel, or the only one; 1, 2: its vector cores
    bool cube = false;
    std::vector<uint8_t> storage[kMemories];
    uint8_t *memory[kMemories] = {};
    int64_t allocated[kMemories] = {};
    std::vector<Shadow> shadow[kMemories];
    uint32_t issued[kQueues] = {};
    uint32_t known[kQueues][kQueues] = {};
    Event events[kQueues][kQueues][kEvents];
    std::deque<Item> queues[kQueues];
    std::vector<int> joins;  // for each barrier of all queues, how many have yet to reach it
    std::vector<std::pair<int, bool>> gates;  // cross-core flags waited for, and whether seen
    Atomic atomic = Atomic::kNone;
    Type atomic_type = Type::kF32;
    bool pipe_open = false, selects = false, high = false;
};

Core &Current();
bool Unified();  // whether the core has both units, as __NPU_ARCH__ 2002
constexpr const char *kNotUnified = "is not there on unified cores";
// From here on Select, in its modes 1 and 2, keeps UB for itself.
inline int64_t SelectStart() { return int64_t(Unified() ? 248 : 184) << 10; }
[[noreturn]] void Fail(const std::string &text);

// One instruction while it is issued: checks its operands, then puts it in its queue.
class Instruction {
public:
    Instruction(const char *name, Queue queue);
    // Require that `ok` holds; `rule` says what is wrong otherwise.
    void Require(bool ok, const char *rule) const;
    void Range(const char *what, int64_t value, int64_t low, int64_t high) const;
    void Align(const char *what, const Place &place, int64_t bytes) const;
    // Check `bytes` bytes at `offset` of the place and note the access.
    void Read(const char *what, const Place &place, int64_t offset, int64_t bytes);
    void Write(const char *what, const Place &place, int64_t offset, int64_t bytes);
    void Check(const char *what, const Global &place, int64_t offset, int64_t bytes) const;
    uint8_t *Pointer(const Place &place) const;
    void Do(std::function<void()> run);
    [[noreturn]] void Stop(const std::string &text) const;
    const char *name() const { return name_; }

private:
    Shadow *Blocks(const char *what, const Place &place, int64_t offset, int64_t bytes, int64_t *n);
    void Hazard(const char *what, const Place &place, int64_t offset, Queue other,
                const char *did) const;
    bool Done(Queue queue, uint32_t number) const;

    const char *name_;
    Queue queue_;
    uint32_t number_;
    Core &core_;
};

int SizeOf(Type type);
const char *NameOf(Type type);
const char *NameOf(Memory memory);
const char *NameOf(Queue queue);

inline int64_t RoundUp(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

}  // namespace ascend_model

#endif
