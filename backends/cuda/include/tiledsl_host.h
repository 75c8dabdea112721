// tiledsl_host.h: a model of a GPU for kernels that tiledsl writes, so that they run on a CPU.
//
// A block runs at a time, with one fiber a thread; fibers take turns at barriers and where a warp
// works together, in an order that a seed shuffles. Shared memory starts as NaN, every access to
// shared and global memory is checked, and threads that wait for ever are reported. Included by
// tiledsl_cuda.cuh when TDSL_HOST is defined; g++ -std=c++17.
//
// A library made so runs one launch at a time.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#define __global__ static
#define __launch_bounds__(...)
#define TDSL_DEVICE static inline
#define TDSL_BOTH static inline
#define TDSL_MEMBER inline
#define TDSL_TABLE static const
#define TDSL_ENTRY(name) tiledsl_##name##_host
#define TDSL_SHARED_MEMORY(name) unsigned char* const name = tdsl::host::block.shared
#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")

// The functions of <math.h> that kernels use; the header itself takes long to compile.
extern "C" {
#define TDSL_MATH(name) float name##f(float) noexcept; double name(double) noexcept;
TDSL_MATH(exp) TDSL_MATH(exp2) TDSL_MATH(expm1) TDSL_MATH(log) TDSL_MATH(log2) TDSL_MATH(log1p)
TDSL_MATH(sqrt) TDSL_MATH(tanh) TDSL_MATH(erf) TDSL_MATH(sin) TDSL_MATH(cos) TDSL_MATH(floor)
TDSL_MATH(ceil) TDSL_MATH(rint) TDSL_MATH(trunc) TDSL_MATH(fabs)
#undef TDSL_MATH
float powf(float, float) noexcept;
double pow(double, double) noexcept;
}

struct Dim3 { unsigned x; };

namespace tdsl {
namespace host {

constexpr int MOST_THREADS = 1024;
constexpr size_t STACK = 128 * 1024;

struct Meeting { int here = 0; unsigned round = 0; };

struct Fiber {
  Dim3 thread;
  bool done;
  unsigned turns;      // of warp exchanges
  const char* waits;   // for what
#if defined(__x86_64__)
  void* stack;
#else
  ucontext_t context;
#endif
};

struct Warp {
  Meeting meeting;
  int left = 0;                // lanes that have ended
  uint64_t words[2][32];       // what the lanes show each other, by turns
  uint32_t parts[2][32][6];
  float products[2][16][8];
};

struct Block {
  Dim3 index, count, threads;
  Fiber* now;
  Fiber fibers[MOST_THREADS];
  Warp warps[MOST_THREADS / 32];
  Meeting meeting;
  int alive;
  unsigned char* shared;
  int shared_bytes;
  uint64_t random;
  uint64_t progress;
  bool failed;
  void (*body)(void*);
  void* argument;
  char* stacks;
  char message[5000];
#if defined(__x86_64__)
  void* scheduler;
#else
  ucontext_t scheduler;
#endif
};

static Block block;

#if defined(__x86_64__)
__attribute__((naked, noinline)) static void change(void** save, void* to) {
  __asm__ volatile(
      "pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
      "movq %rsp, (%rdi)\n movq %rsi, %rsp\n"
      "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n ret\n");
}
static inline void pause() { change(&block.now->stack, block.scheduler); }
static inline void resume(Fiber& f) { change(&block.scheduler, f.stack); }
#else
static inline void pause() { swapcontext(&block.now->context, &block.scheduler); }
static inline void resume(Fiber& f) { swapcontext(&block.scheduler, &f.context); }
#endif

// End the launch with a message. The thread does not come back.
__attribute__((noinline, noreturn)) static void fail(const char* what, const char* name, int64_t a, int64_t b) {
  const int written = snprintf(
      block.message, sizeof block.message, "%s %s: index %lld of %lld, in block %u, thread %u", what,
      name, (long long)a, (long long)b, block.index.x, block.now->thread.x);
  (void)written;
  block.failed = true;
  for (;;) pause();
}

// End the launch as a failed assertion: the message is `text`.
__attribute__((noinline, noreturn)) static void trap(const char* text) {
  const int written = snprintf(block.message, sizeof block.message, "trap: %s", text);
  (void)written;
  for (size_t end = strlen(block.message); end > 0 && block.message[end - 1] == '\n'; --end) block.message[end - 1] = 0;
  block.failed = true;
  for (;;) pause();
}

// Wait until `all` have come. True for the last, who may act before `open`.
static inline bool last_to_come(Meeting& m, int all) {
  ++block.progress;
  return ++m.here >= all;
}
static inline void open(Meeting& m) {
  m.here = 0;
  ++m.round;
}
static inline void wait_for(Meeting& m, const char* what) {
  const unsigned round = m.round;
  block.now->waits = what;
  do pause();
  while (m.round == round);
}

static inline uint64_t draw() {
  uint64_t& s = block.random;
  s ^= s << 13;
  s ^= s >> 7;
  s ^= s << 17;
  return s;
}

static void begin() {
  block.body(block.argument);
  block.now->done = true;
  --block.alive;
  ++block.progress;
  for (;;) pause();
}

static void start(Fiber& f, int number) {
  f.thread.x = unsigned(number);
  f.done = false;
  f.turns = 0;
  f.waits = "nothing";
  char* const top = block.stacks + STACK * size_t(number + 1);
#if defined(__x86_64__)
  void** sp = reinterpret_cast<void**>(top - 64);
  *--sp = nullptr;
  *--sp = reinterpret_cast<void*>(begin);
  for (int i = 0; i < 6; ++i) *--sp = nullptr;
  f.stack = sp;
#else
  getcontext(&f.context);
  f.context.uc_stack.ss_sp = top - STACK;
  f.context.uc_stack.ss_size = STACK;
  f.context.uc_link = nullptr;
  makecontext(&f.context, begin, 0);
#endif
}

static void report_waiting() {
  int at = snprintf(block.message, sizeof block.message, "deadlock in block %u:", block.index.x);
  for (unsigned i = 0; i < block.threads.x && at < 400; ++i) {
    const Fiber& f = block.fibers[i];
    const bool first = i == 0 || f.done != block.fibers[i - 1].done || f.waits != block.fibers[i - 1].waits;
    if (first)
      at += snprintf(block.message + at, sizeof block.message - size_t(at), " from thread %u on %s%s;", i,
                     f.done ? "at the end" : "waiting for ", f.done ? "" : f.waits);
  }
}

static void run_block() {
  const int threads = int(block.threads.x);
  int order[MOST_THREADS];
  for (int i = 0; i < threads; ++i) {
    order[i] = i;
    start(block.fibers[i], i);
  }
  for (int w = 0; w < (threads + 31) / 32; ++w) block.warps[w] = Warp();
  block.meeting = Meeting();
  block.alive = threads;
  for (int i = threads - 1; i > 0; --i) {
    const int j = int(draw() % uint64_t(i + 1)), t = order[i];
    order[i] = order[j];
    order[j] = t;
  }
  while (block.alive) {
    const uint64_t before = block.progress;
    for (int i = 0; i < threads; ++i) {
      Fiber& f = block.fibers[order[i]];
      if (f.done) continue;
      block.now = &f;
      resume(f);
      if (block.failed) return;
    }
    if (block.progress == before) {
      block.failed = true;
      report_waiting();
      return;
    }
  }
}

static int run(int64_t blocks, int threads, int shared, uint64_t seed, void (*body)(void*), void* argument) {
  const size_t stacks = STACK * size_t(threads);
  block.stacks = static_cast<char*>(mmap(nullptr, stacks, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  block.shared = static_cast<unsigned char*>(aligned_alloc(128, size_t(shared + 255) / 128 * 128));
  block.shared_bytes = shared;
  block.count.x = unsigned(blocks);
  block.threads.x = unsigned(threads);
  block.body = body;
  block.argument = argument;
  block.failed = false;
  block.progress = 0;
  block.random = (seed + 1) * 0x9E3779B97F4A7C15ull | 1;
  for (int64_t b = 0; b < blocks && !block.failed; ++b) {
    block.index.x = unsigned(b);
    memset(block.shared, 0xff, size_t(shared));
    run_block();
  }
  free(block.shared);
  munmap(block.stacks, stacks);
  fflush(stdout);
  return block.failed ? 2000 : 0;
}

}  // namespace host

using stream_t = uint64_t;  // the seed of the order of threads
static inline unsigned resident_blocks() { return 3; }

template <class... P, class... A>
static int launch(void (*kernel)(P...), int64_t blocks, int threads, int shared, stream_t seed, A... args) {
  auto body = [&] { kernel(args...); };
  const auto call = [](void* f) { (*static_cast<decltype(body)*>(f))(); };
  return host::run(blocks, threads, shared, seed, call, &body);
}

// ---- memory, with every access checked ----------------------------------------------------------

template <class T> struct Checked {
  T* p;
  int64_t count;
  const char* name;
  T& operator[](int64_t i) const {
    if (uint64_t(i) >= uint64_t(count)) host::fail("access outside", name, i, count);
    return p[i];
  }
};
template <class T> using In = Checked<const T>;
template <class T> using Out = Checked<T>;
template <class T> using InOut = Checked<T>;
template <class T> struct Shared : Checked<T> {};

template <class T> static inline In<T> in(const void* p, int64_t count) {
  return {static_cast<const T*>(p), count, "a tensor that is read"};
}
template <class T> static inline Out<T> out(void* p, int64_t count) {
  return {static_cast<T*>(p), count, "a tensor that is written"};
}
template <class T> static inline Shared<T> shared(unsigned char* memory, int offset, int count, const char* name) {
  if (offset + count * int(sizeof(T)) > host::block.shared_bytes) host::fail("no room for", name, offset, 0);
  Shared<T> tile;
  tile.p = reinterpret_cast<T*>(memory + offset);
  tile.count = count;
  tile.name = name;
  return tile;
}

template <class T> static inline void move_16_bytes(T* to, const T* from) {
  if (reinterpret_cast<uintptr_t>(from) % 16 || reinterpret_cast<uintptr_t>(to) % 16)
    host::fail("16 bytes that are not aligned", "", 0, 16);
  memcpy(to, from, 16);
}
template <class T> static inline bool is_aligned(const Checked<T>& tensor, int64_t first) {
  return reinterpret_cast<uintptr_t>(tensor.p + first) % 16 == 0;
}

// ---- warps --------------------------------------------------------------------------------------

static inline host::Warp& my_warp() { return host::block.warps[host::block.now->thread.x / 32]; }

// Show a word to the warp; return the words of all lanes.
static inline const uint64_t* show(uint64_t word) {
  host::Warp& warp = my_warp();
  host::Fiber& me = *host::block.now;
  const unsigned turn = me.turns++ & 1;
  warp.words[turn][me.thread.x % 32] = word;
  if (host::last_to_come(warp.meeting, 32)) host::open(warp.meeting);
  else host::wait_for(warp.meeting, "its warp");
  return warp.words[turn];
}
template <class T> static inline T exchange(T x, int lane) {
  uint64_t word = 0;
  memcpy(&word, &x, sizeof x);
  word = show(word)[lane];
  memcpy(&x, &word, sizeof x);
  return x;
}
template <class T> static inline T shuffle_xor(T x, int mask) {
  return exchange(x, int(host::block.now->thread.x % 32) ^ mask);
}
template <class T> static inline T shuffle_up(T x, int by) {
  const int lane = int(host::block.now->thread.x % 32);
  return exchange(x, lane < by ? lane : lane - by);
}
template <class T> static inline T shuffle_from(T x, int lane) { return exchange(x, lane); }

// ldmatrix: every lane gives the address of a row, and gets its elements of four matrices.
static inline void load_words(uint32_t (&r)[4], const void* row, bool transposed) {
  if (reinterpret_cast<uintptr_t>(row) % 16) host::fail("ldmatrix wants 16-byte rows", "", 0, 16);
  const uint64_t* const rows = show(reinterpret_cast<uint64_t>(row));
  const int lane = int(host::block.now->thread.x % 32);
  for (int m = 0; m < 4; ++m) {
    uint16_t pair[2];
    for (int k = 0; k < 2; ++k) {
      const int i = transposed ? lane % 4 * 2 + k : lane / 4;
      const int j = transposed ? lane / 4 : lane % 4 * 2 + k;
      memcpy(&pair[k], reinterpret_cast<const char*>(rows[m * 8 + i]) + j * 2, 2);
    }
    r[m] = uint32_t(pair[0]) | uint32_t(pair[1]) << 16;
  }
}
static inline void load_matrices(uint32_t (&r)[4], const void* row) { load_words(r, row, false); }
static inline void load_transposed(uint32_t (&r)[4], const void* row) { load_words(r, row, true); }

// mma.sync.m16n8k16: the last lane to come does the work for all.
template <class T> static float half_of(uint32_t word, int k) {
  T x;
  x.bits = uint16_t(word >> (16 * k));
  return float(x);
}
template <class T>
static void mma_16x8x16(float* d, const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  host::Warp& warp = my_warp();
  host::Fiber& me = *host::block.now;
  const unsigned turn = me.turns++ & 1, lane = me.thread.x % 32;
  uint32_t* const mine = warp.parts[turn][lane];
  for (int i = 0; i < 4; ++i) mine[i] = a[i];
  mine[4] = b0;
  mine[5] = b1;
  if (host::last_to_come(warp.meeting, 32)) {
    float left[16][16], right[16][8];
    for (int l = 0; l < 32; ++l)
      for (int k = 0; k < 2; ++k) {
        const uint32_t* const word = warp.parts[turn][l];
        for (int i = 0; i < 4; ++i) left[l / 4 + i % 2 * 8][l % 4 * 2 + k + i / 2 * 8] = half_of<T>(word[i], k);
        for (int i = 0; i < 2; ++i) right[l % 4 * 2 + k + i * 8][l / 4] = half_of<T>(word[4 + i], k);
      }
    for (int i = 0; i < 16; ++i)
      for (int j = 0; j < 8; ++j) {
        float sum = 0.0f;
        for (int k = 0; k < 16; ++k) sum += left[i][k] * right[k][j];
        warp.products[turn][i][j] = sum;
      }
    host::open(warp.meeting);
  } else {
    host::wait_for(warp.meeting, "mma of its warp");
  }
  for (int e = 0; e < 4; ++e) d[e] += warp.products[turn][lane / 4 + unsigned(e) / 2 * 8][lane % 4 * 2 + unsigned(e) % 2];
}

}  // namespace tdsl

#define threadIdx (tdsl::host::block.now->thread)
#define blockIdx (tdsl::host::block.index)
#define gridDim (tdsl::host::block.count)

static inline void __syncthreads() {
  using namespace tdsl::host;
  if (last_to_come(block.meeting, int(block.threads.x))) open(block.meeting);
  else wait_for(block.meeting, "__syncthreads");
}

// What went wrong in the last launch that returned 2000.
extern "C" __attribute__((weak)) const char* tiledsl_host_message() { return tdsl::host::block.message; }
