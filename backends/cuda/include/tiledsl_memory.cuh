// tiledsl_memory.cuh: what tiledsl.runtime.cuda needs of CUDA beside a kernel. Codes are those of
// the CUDA runtime; 0 is success.
#pragma once
#include <cuda_runtime_api.h>
#include <stddef.h>

extern "C" inline __attribute__((used)) int tdsl_devices() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}
extern "C" inline __attribute__((used)) int tdsl_allocate(void** p, size_t bytes) {
  return int(cudaMalloc(p, bytes ? bytes : 1));
}
extern "C" inline __attribute__((used)) int tdsl_to_device(void* p, const void* from, size_t bytes) {
  return int(cudaMemcpy(p, from, bytes, cudaMemcpyHostToDevice));
}
extern "C" inline __attribute__((used)) int tdsl_from_device(void* to, const void* p, size_t bytes) {
  return int(cudaMemcpy(to, p, bytes, cudaMemcpyDeviceToHost));
}
extern "C" inline __attribute__((used)) int tdsl_wait() { return int(cudaDeviceSynchronize()); }
extern "C" inline __attribute__((used)) void tdsl_release(void* p) { cudaFree(p); }
extern "C" inline __attribute__((used)) const char* tdsl_error(int code) {
  return cudaGetErrorString(cudaError_t(code));
}
