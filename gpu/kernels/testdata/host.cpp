// A libcuda that runs the kernels of this package on the CPU, at once in the calling thread, whatever PTX it is given.
// Memory ends at a page that nobody may touch, so that an access beyond it is a crash.
#include "../input.cu"
#include "../output.cu"
#include "../resize.cu"
#include "../deinterlace.cu"
#include "../mix.cu"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <sys/mman.h>

extern "C" {
#include "shim.h"
}

namespace {
enum { OK = 0, INVALID_VALUE = 1, NOT_FOUND = 500, PAGE = 4096 };

struct Mapping {
  void *at;
  size_t size;
};
std::map<uintptr_t, Mapping> mappings;

uintptr_t allocate(size_t n) {
  const size_t used = (n + PAGE - 1) / PAGE * PAGE;
  char *at = (char *)mmap(nullptr, used + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return 0;
  mprotect(at + used, PAGE, PROT_NONE);
  const uintptr_t p = (uintptr_t)at + used - (n + 15) / 16 * 16;
  mappings[p] = {at, used + PAGE};
  return p;
}

CUresult release(uintptr_t p) {
  const auto m = mappings.find(p);
  if (m == mappings.end()) return INVALID_VALUE;
  munmap(m->second.at, m->second.size);
  mappings.erase(m);
  return OK;
}
} // namespace

extern "C" {
CUresult cuDriverGetVersion(int *v) { return *v = 13000, OK; }
CUresult cuInit(unsigned) { return OK; }
CUresult cuGetErrorName(CUresult, const char **s) { return *s = "CUDA_ERROR", OK; }
CUresult cuGetErrorString(CUresult, const char **s) { return *s = "an error", OK; }
CUresult cuDeviceGetCount(int *n) { return *n = 1, OK; }
CUresult cuDeviceGet(CUdevice *d, int) { return *d = 0, OK; }
CUresult cuDeviceGetName(char *s, int n, CUdevice) { return snprintf(s, n, "the CPU"), OK; }
CUresult cuDeviceGetUuid_v2(CUuuid *u, CUdevice) { return memset(u, 0, sizeof *u), OK; }
CUresult cuDeviceTotalMem_v2(size_t *n, CUdevice) { return *n = 1 << 30, OK; }
CUresult cuDeviceGetAttribute(int *v, int, CUdevice) { return *v = 9, OK; }
CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice, unsigned) { return OK; }
CUresult cuDevicePrimaryCtxRetain(CUcontext *c, CUdevice) { return *c = 1, OK; }
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) { return OK; }
CUresult cuDevicePrimaryCtxGetState(CUdevice, unsigned *flags, int *active) { return *flags = 4, *active = 1, OK; }
CUresult cuCtxSetCurrent(CUcontext) { return OK; }
CUresult cuMemGetInfo_v2(size_t *f, size_t *t) { return *f = *t = 1 << 30, OK; }
CUresult cuMemAlloc_v2(CUdeviceptr *p, size_t n) { return (*p = allocate(n)) ? OK : 2; }
CUresult cuMemFree_v2(CUdeviceptr p) { return release(p); }
CUresult cuMemHostAlloc(void **p, size_t n, unsigned) { return (*p = (void *)allocate(n)) ? OK : 2; }
CUresult cuMemFreeHost(void *p) { return release((uintptr_t)p); }
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr d, const void *s, size_t n, CUstream) { return memcpy((void *)d, s, n), OK; }
CUresult cuMemcpyDtoHAsync_v2(void *d, CUdeviceptr s, size_t n, CUstream) { return memcpy(d, (void *)s, n), OK; }
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr d, CUdeviceptr s, size_t n, CUstream) { return memcpy((void *)d, (void *)s, n), OK; }
CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *, CUstream) { return INVALID_VALUE; } // not needed by the tests
CUresult cuMemsetD8Async(CUdeviceptr p, unsigned char v, size_t n, CUstream) { return memset((void *)p, v, n), OK; }
CUresult cuStreamCreate(CUstream *s, unsigned) { return *s = 1, OK; }
CUresult cuStreamDestroy_v2(CUstream) { return OK; }
CUresult cuStreamSynchronize(CUstream) { return OK; }
CUresult cuStreamWaitEvent(CUstream, CUevent, unsigned) { return OK; }
CUresult cuEventCreate(CUevent *e, unsigned) { return *e = 1, OK; }
CUresult cuEventDestroy_v2(CUevent) { return OK; }
CUresult cuEventRecord(CUevent, CUstream) { return OK; }
CUresult cuEventQuery(CUevent) { return OK; }
CUresult cuEventSynchronize(CUevent) { return OK; }
CUresult cuEventElapsedTime(float *ms, CUevent, CUevent) { return *ms = 1, OK; }
CUresult cuModuleLoadDataEx(CUmodule *m, const void *, unsigned, int *, void **) { return *m = 1, OK; }
CUresult cuModuleUnload(CUmodule) { return OK; }

CUresult cuModuleGetFunction(CUfunction *f, CUmodule, const char *name) {
  for (size_t i = 0; i < kernels().size(); i++)
    if (!strcmp(kernels()[i].name, name)) return *f = i + 1, OK;
  return NOT_FOUND;
}

CUresult cuFuncGetParamInfo(CUfunction f, size_t i, size_t *offset, size_t *size) {
  const Kernel &k = kernels()[f - 1];
  if (i >= k.sizes.size()) return INVALID_VALUE;
  if (offset) *offset = 0;
  return *size = k.sizes[i], OK;
}

CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned, CUstream,
                        void **parameters, void **) {
  if (!gx || !gy || gz != 1 || bz != 1 || !bx || !by || bx * by > 1024) return INVALID_VALUE;
  blocks = {(i32)gx, (i32)gy, (i32)bx, (i32)by};
  kernels()[f - 1].call(parameters);
  return OK;
}
}
