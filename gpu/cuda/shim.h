// The part of NVIDIA's interfaces that is used, declared by ourselves so that nothing of NVIDIA's is needed to build.
// Sources: CUDA Driver API (cuda.h), NVML API (nvml.h), Video Codec SDK (cuviddec.h, nvEncodeAPI.h). Handles are
// addresses that only the libraries look into.
#ifndef RAVE_CUDA_SHIM_H
#define RAVE_CUDA_SHIM_H

#include <stddef.h>
#include <stdint.h>

typedef int CUresult;
typedef int CUdevice;
typedef uint64_t CUdeviceptr;
typedef uintptr_t CUcontext, CUstream, CUevent, CUmodule, CUfunction;
typedef struct { unsigned char bytes[16]; } CUuuid;

typedef struct {
	size_t srcXInBytes, srcY;
	int srcMemoryType;
	const void *srcHost;
	CUdeviceptr srcDevice;
	void *srcArray;
	size_t srcPitch;
	size_t dstXInBytes, dstY;
	int dstMemoryType;
	void *dstHost;
	CUdeviceptr dstDevice;
	void *dstArray;
	size_t dstPitch;
	size_t WidthInBytes, Height;
} CUDA_MEMCPY2D;

// X(symbol, parameters...): libcuda.so.1. cuDriverGetVersion is first, since it tells why another may be missing.
#define RAVE_DRIVER(X)                                                                                              \
	X(cuDriverGetVersion, int *)                                                                                \
	X(cuInit, unsigned)                                                                                         \
	X(cuGetErrorName, CUresult, const char **)                                                                  \
	X(cuGetErrorString, CUresult, const char **)                                                                \
	X(cuDeviceGetCount, int *)                                                                                  \
	X(cuDeviceGet, CUdevice *, int)                                                                             \
	X(cuDeviceGetName, char *, int, CUdevice)                                                                   \
	X(cuDeviceGetUuid_v2, CUuuid *, CUdevice)                                                                   \
	X(cuDeviceTotalMem_v2, size_t *, CUdevice)                                                                  \
	X(cuDeviceGetAttribute, int *, int, CUdevice)                                                               \
	X(cuDevicePrimaryCtxSetFlags_v2, CUdevice, unsigned)                                                        \
	X(cuDevicePrimaryCtxRetain, CUcontext *, CUdevice)                                                          \
	X(cuDevicePrimaryCtxRelease_v2, CUdevice)                                                                   \
	X(cuDevicePrimaryCtxGetState, CUdevice, unsigned *, int *)                                                  \
	X(cuCtxSetCurrent, CUcontext)                                                                               \
	X(cuMemGetInfo_v2, size_t *, size_t *)                                                                      \
	X(cuMemAlloc_v2, CUdeviceptr *, size_t)                                                                     \
	X(cuMemFree_v2, CUdeviceptr)                                                                                \
	X(cuMemHostAlloc, void **, size_t, unsigned)                                                                \
	X(cuMemFreeHost, void *)                                                                                    \
	X(cuMemcpyHtoDAsync_v2, CUdeviceptr, const void *, size_t, CUstream)                                        \
	X(cuMemcpyDtoHAsync_v2, void *, CUdeviceptr, size_t, CUstream)                                              \
	X(cuMemcpyDtoDAsync_v2, CUdeviceptr, CUdeviceptr, size_t, CUstream)                                         \
	X(cuMemcpy2DAsync_v2, const CUDA_MEMCPY2D *, CUstream)                                                      \
	X(cuMemsetD8Async, CUdeviceptr, unsigned char, size_t, CUstream)                                            \
	X(cuStreamCreate, CUstream *, unsigned)                                                                     \
	X(cuStreamDestroy_v2, CUstream)                                                                             \
	X(cuStreamSynchronize, CUstream)                                                                            \
	X(cuStreamWaitEvent, CUstream, CUevent, unsigned)                                                           \
	X(cuEventCreate, CUevent *, unsigned)                                                                       \
	X(cuEventDestroy_v2, CUevent)                                                                               \
	X(cuEventRecord, CUevent, CUstream)                                                                         \
	X(cuEventQuery, CUevent)                                                                                    \
	X(cuEventSynchronize, CUevent)                                                                              \
	X(cuEventElapsedTime, float *, CUevent, CUevent)                                                            \
	X(cuModuleLoadDataEx, CUmodule *, const void *, unsigned, int *, void **)                                   \
	X(cuModuleUnload, CUmodule)                                                                                 \
	X(cuModuleGetFunction, CUfunction *, CUmodule, const char *)                                                \
	X(cuFuncGetParamInfo, CUfunction, size_t, size_t *, size_t *)                                               \
	X(cuLaunchKernel, CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, \
	  void **, void **)

typedef struct { uint64_t total, free, used; } nvmlMemory_t;
typedef struct { unsigned pid; unsigned long long usedGpuMemory; unsigned gpuInstanceId, computeInstanceId; } nvmlProcessInfo_t;

// libnvidia-ml.so.1. nvmlErrorString returns a text, not a code; it is called through a cast.
#define RAVE_NVML(X)                                                                           \
	X(nvmlInit_v2, void)                                                                   \
	X(nvmlShutdown, void)                                                                  \
	X(nvmlErrorString, int)                                                                \
	X(nvmlSystemGetDriverVersion, char *, unsigned)                                        \
	X(nvmlDeviceGetHandleByUUID, const char *, uintptr_t *)                                \
	X(nvmlDeviceGetMemoryInfo, uintptr_t, nvmlMemory_t *)                                  \
	X(nvmlDeviceGetComputeRunningProcesses_v3, uintptr_t, unsigned *, nvmlProcessInfo_t *)

typedef struct {
	int eCodecType, eChromaFormat;
	unsigned nBitDepthMinus8, reserved1[3];
	unsigned char bIsSupported, nNumNVDECs;
	unsigned short nOutputFormatMask;
	unsigned nMaxWidth, nMaxHeight, nMaxMBCount;
	unsigned short nMinWidth, nMinHeight;
	unsigned char bIsHistogramSupported, nCounterBitDepth;
	unsigned short nMaxHistogramBins;
	unsigned reserved3[10];
} CUVIDDECODECAPS;

// libnvcuvid.so.1
#define RAVE_CUVID(X) X(cuvidGetDecoderCaps, CUVIDDECODECAPS *)

typedef struct { uint32_t d1; uint16_t d2, d3; uint8_t d4[8]; } NVENC_GUID;

typedef struct {
	uint32_t version, deviceType;
	void *device, *reserved;
	uint32_t apiVersion, reserved1[253];
	void *reserved2[64];
} NVENC_OPEN_SESSION;

// The table that the library fills. Of its functions only those are typed that are called; the order is its interface.
typedef struct {
	uint32_t version, reserved;
	void *openEncodeSession, *getEncodeGUIDCount, *getEncodeProfileGUIDCount, *getEncodeProfileGUIDs;
	int (*getEncodeGUIDs)(void *, NVENC_GUID *, uint32_t, uint32_t *);
	void *between[22]; // GetInputFormatCount to UnmapInputResource
	int (*destroyEncoder)(void *);
	void *invalidateRefFrames;
	int (*openEncodeSessionEx)(NVENC_OPEN_SESSION *, void **);
	void *rest[288];
} NVENC_FUNCTIONS;

// libnvidia-encode.so.1
#define RAVE_NVENC(X)                                  \
	X(NvEncodeAPIGetMaxSupportedVersion, uint32_t *) \
	X(NvEncodeAPICreateInstance, NVENC_FUNCTIONS *)

// A table of each library's functions, filled in the order of its names, a list that NULL ends.
#define X(symbol, ...) int (*symbol)(__VA_ARGS__);
typedef struct { RAVE_DRIVER(X) } rave_driver;
typedef struct { RAVE_NVML(X) } rave_nvml;
typedef struct { RAVE_CUVID(X) } rave_cuvid;
typedef struct { RAVE_NVENC(X) } rave_nvenc;
#undef X
const char *const *rave_driver_symbols(void);
const char *const *rave_nvml_symbols(void);
const char *const *rave_cuvid_symbols(void);
const char *const *rave_nvenc_symbols(void);

// dlopen(3), dlsym(3), dlclose(3): 0 and the reason in why (size bytes), or what was found.
uintptr_t rave_open(const char *name, char *why, size_t size);
uintptr_t rave_lookup(uintptr_t library, const char *symbol, char *why, size_t size);
int rave_close(uintptr_t library, char *why, size_t size);

int rave_version(const rave_driver *d, int *version);
int rave_init(const rave_driver *d);
const char *rave_error(const rave_driver *d, CUresult code, int text); // CUDA's name of an error, or its text; "" if it has none
int rave_device_count(const rave_driver *d, int *n);
typedef struct { char name[256]; CUuuid uuid; size_t memory; int major, minor, sms; } rave_device;
int rave_device_get(const rave_driver *d, int index, CUdevice *device, rave_device *info);
// Retains the primary context; flags are what it has then.
int rave_retain(const rave_driver *d, CUdevice device, unsigned flags, CUcontext *c, unsigned *has);
int rave_release(const rave_driver *d, CUdevice device);

// All below make the context c current first.
int rave_mem_info(const rave_driver *d, CUcontext c, size_t *free, size_t *total);
int rave_alloc(const rave_driver *d, CUcontext c, CUdeviceptr *p, size_t n);
int rave_free(const rave_driver *d, CUcontext c, CUdeviceptr p);
int rave_host_alloc(const rave_driver *d, CUcontext c, void **p, size_t n);
int rave_host_free(const rave_driver *d, CUcontext c, void *p);
int rave_copy_in(const rave_driver *d, CUcontext c, CUdeviceptr dst, const void *src, size_t n, CUstream s, int wait);
int rave_copy_out(const rave_driver *d, CUcontext c, void *dst, CUdeviceptr src, size_t n, CUstream s, int wait);
int rave_copy(const rave_driver *d, CUcontext c, CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream s);
// Rows of width bytes; a side is in the host's memory if its host pointer is not NULL.
int rave_copy_2d(const rave_driver *d, CUcontext c, void *dst_host, CUdeviceptr dst, size_t dst_pitch, const void *src_host,
                 CUdeviceptr src, size_t src_pitch, size_t width, size_t height, CUstream s);
int rave_set(const rave_driver *d, CUcontext c, CUdeviceptr dst, unsigned char v, size_t n, CUstream s);
int rave_stream_new(const rave_driver *d, CUcontext c, CUstream *s);
int rave_stream_free(const rave_driver *d, CUcontext c, CUstream s);
int rave_stream_sync(const rave_driver *d, CUcontext c, CUstream s);
int rave_stream_wait(const rave_driver *d, CUcontext c, CUstream s, CUevent e);
int rave_event_new(const rave_driver *d, CUcontext c, CUevent *e, unsigned flags);
int rave_event_free(const rave_driver *d, CUcontext c, CUevent e);
int rave_event_record(const rave_driver *d, CUcontext c, CUevent e, CUstream s);
int rave_event_query(const rave_driver *d, CUcontext c, CUevent e);
int rave_event_sync(const rave_driver *d, CUcontext c, CUevent e);
int rave_event_elapsed(const rave_driver *d, CUcontext c, float *ms, CUevent from, CUevent to);
int rave_module_load(const rave_driver *d, CUcontext c, CUmodule *m, const void *image, char *log, size_t size);
int rave_module_free(const rave_driver *d, CUcontext c, CUmodule m);
int rave_function(const rave_driver *d, CUcontext c, CUmodule m, const char *name, CUfunction *f);
// The size in bytes of a kernel's parameter; an error past the last one.
int rave_parameter(const rave_driver *d, CUcontext c, CUfunction f, size_t index, size_t *size);
enum { RAVE_MAX_ARGS = 64 };
typedef struct { uint32_t grid[3], block[3], shared; } rave_launch_size;
int rave_launch(const rave_driver *d, CUcontext c, CUfunction f, const rave_launch_size *size, CUstream s, uint64_t *args, int n);

int rave_nvml_init(const rave_nvml *l);
int rave_nvml_shutdown(const rave_nvml *l);
const char *rave_nvml_error(const rave_nvml *l, int code);
int rave_nvml_driver(const rave_nvml *l, char *version, unsigned size);
int rave_nvml_device(const rave_nvml *l, const char *uuid, uintptr_t *device);
int rave_nvml_memory(const rave_nvml *l, uintptr_t device, nvmlMemory_t *m);
int rave_nvml_processes(const rave_nvml *l, uintptr_t device, unsigned *n, nvmlProcessInfo_t *p);

int rave_decoder_caps(const rave_driver *d, const rave_cuvid *v, CUcontext c, CUVIDDECODECAPS *caps);

int rave_nvenc_version(const rave_nvenc *l, uint32_t *version);
// Opens a session, lists the codecs it has, and closes it: the count in n, at most size of them in codecs.
int rave_nvenc_try(const rave_driver *d, const rave_nvenc *l, CUcontext c, NVENC_GUID *codecs, uint32_t size, uint32_t *n);

#endif
