#include "shim.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define X(symbol, ...) #symbol,
#define NAMES(functions) { static const char *const names[] = {functions(X) NULL}; return names; }
const char *const *rave_driver_symbols(void) NAMES(RAVE_DRIVER)
const char *const *rave_nvml_symbols(void) NAMES(RAVE_NVML)
const char *const *rave_cuvid_symbols(void) NAMES(RAVE_CUVID)
const char *const *rave_nvenc_symbols(void) NAMES(RAVE_NVENC)
#undef NAMES
#undef X

// dlerror(3) is per thread, so the reason is taken in the same call.
static void reason(char *why, size_t size) {
	const char *text = dlerror();
	snprintf(why, size, "%s", text ? text : "no reason given");
}

uintptr_t rave_open(const char *name, char *why, size_t size) {
	void *h = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	if (!h) reason(why, size);
	return (uintptr_t)h;
}

uintptr_t rave_lookup(uintptr_t library, const char *symbol, char *why, size_t size) {
	void *p = dlsym((void *)library, symbol);
	if (!p) reason(why, size);
	return (uintptr_t)p;
}

int rave_close(uintptr_t library, char *why, size_t size) {
	int r = dlclose((void *)library);
	if (r) reason(why, size);
	return r;
}

int rave_version(const rave_driver *d, int *version) { return d->cuDriverGetVersion(version); }
int rave_init(const rave_driver *d) { return d->cuInit(0); }

const char *rave_error(const rave_driver *d, CUresult code, int text) {
	const char *s = NULL;
	if (text ? d->cuGetErrorString(code, &s) : d->cuGetErrorName(code, &s)) return "";
	return s ? s : "";
}

int rave_device_count(const rave_driver *d, int *n) { return d->cuDeviceGetCount(n); }

int rave_device_get(const rave_driver *d, int index, CUdevice *device, rave_device *info) {
	enum { SMS = 16, MAJOR = 75, MINOR = 76 }; // CUdevice_attribute
	int r = d->cuDeviceGet(device, index);
	if (!r) r = d->cuDeviceGetName(info->name, sizeof info->name, *device);
	if (!r) r = d->cuDeviceGetUuid_v2(&info->uuid, *device);
	if (!r) r = d->cuDeviceTotalMem_v2(&info->memory, *device);
	if (!r) r = d->cuDeviceGetAttribute(&info->major, MAJOR, *device);
	if (!r) r = d->cuDeviceGetAttribute(&info->minor, MINOR, *device);
	if (!r) r = d->cuDeviceGetAttribute(&info->sms, SMS, *device);
	return r;
}

int rave_retain(const rave_driver *d, CUdevice device, unsigned flags, CUcontext *c, unsigned *has) {
	int active, r = d->cuDevicePrimaryCtxSetFlags_v2(device, flags);
	enum { PRIMARY_CONTEXT_ACTIVE = 708 };
	if (r && r != PRIMARY_CONTEXT_ACTIVE) return r;
	if ((r = d->cuDevicePrimaryCtxRetain(c, device))) return r;
	if ((r = d->cuDevicePrimaryCtxGetState(device, has, &active))) d->cuDevicePrimaryCtxRelease_v2(device);
	return r;
}

int rave_release(const rave_driver *d, CUdevice device) { return d->cuDevicePrimaryCtxRelease_v2(device); }

// IN makes the context current and calls: the first error, or 0.
#define IN(c, call) (d->cuCtxSetCurrent(c) ?: d->call)

int rave_mem_info(const rave_driver *d, CUcontext c, size_t *free, size_t *total) { return IN(c, cuMemGetInfo_v2(free, total)); }
int rave_alloc(const rave_driver *d, CUcontext c, CUdeviceptr *p, size_t n) { return IN(c, cuMemAlloc_v2(p, n)); }
int rave_free(const rave_driver *d, CUcontext c, CUdeviceptr p) { return IN(c, cuMemFree_v2(p)); }
int rave_host_alloc(const rave_driver *d, CUcontext c, void **p, size_t n) { return IN(c, cuMemHostAlloc(p, n, 0)); }
int rave_host_free(const rave_driver *d, CUcontext c, void *p) { return IN(c, cuMemFreeHost(p)); }

int rave_copy_in(const rave_driver *d, CUcontext c, CUdeviceptr dst, const void *src, size_t n, CUstream s, int wait) {
	int r = IN(c, cuMemcpyHtoDAsync_v2(dst, src, n, s));
	return r || !wait ? r : d->cuStreamSynchronize(s);
}

int rave_copy_out(const rave_driver *d, CUcontext c, void *dst, CUdeviceptr src, size_t n, CUstream s, int wait) {
	int r = IN(c, cuMemcpyDtoHAsync_v2(dst, src, n, s));
	return r || !wait ? r : d->cuStreamSynchronize(s);
}

int rave_copy(const rave_driver *d, CUcontext c, CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream s) {
	return IN(c, cuMemcpyDtoDAsync_v2(dst, src, n, s));
}

int rave_copy_2d(const rave_driver *d, CUcontext c, void *dst_host, CUdeviceptr dst, size_t dst_pitch, const void *src_host,
                 CUdeviceptr src, size_t src_pitch, size_t width, size_t height, CUstream s) {
	enum { HOST = 1, DEVICE = 2 }; // CUmemorytype
	CUDA_MEMCPY2D copy = {
		.srcMemoryType = src_host ? HOST : DEVICE, .srcHost = src_host, .srcDevice = src, .srcPitch = src_pitch,
		.dstMemoryType = dst_host ? HOST : DEVICE, .dstHost = dst_host, .dstDevice = dst, .dstPitch = dst_pitch,
		.WidthInBytes = width, .Height = height,
	};
	return IN(c, cuMemcpy2DAsync_v2(&copy, s));
}

int rave_set(const rave_driver *d, CUcontext c, CUdeviceptr dst, unsigned char v, size_t n, CUstream s) {
	return IN(c, cuMemsetD8Async(dst, v, n, s));
}

int rave_stream_new(const rave_driver *d, CUcontext c, CUstream *s) {
	enum { NON_BLOCKING = 1 }; // it does not wait for the legacy stream, which others in the process may use
	return IN(c, cuStreamCreate(s, NON_BLOCKING));
}

int rave_stream_free(const rave_driver *d, CUcontext c, CUstream s) { return IN(c, cuStreamDestroy_v2(s)); }
int rave_stream_sync(const rave_driver *d, CUcontext c, CUstream s) { return IN(c, cuStreamSynchronize(s)); }
int rave_stream_wait(const rave_driver *d, CUcontext c, CUstream s, CUevent e) { return IN(c, cuStreamWaitEvent(s, e, 0)); }
int rave_event_new(const rave_driver *d, CUcontext c, CUevent *e, unsigned flags) { return IN(c, cuEventCreate(e, flags)); }
int rave_event_free(const rave_driver *d, CUcontext c, CUevent e) { return IN(c, cuEventDestroy_v2(e)); }
int rave_event_record(const rave_driver *d, CUcontext c, CUevent e, CUstream s) { return IN(c, cuEventRecord(e, s)); }
int rave_event_query(const rave_driver *d, CUcontext c, CUevent e) { return IN(c, cuEventQuery(e)); }
int rave_event_sync(const rave_driver *d, CUcontext c, CUevent e) { return IN(c, cuEventSynchronize(e)); }
int rave_event_elapsed(const rave_driver *d, CUcontext c, float *ms, CUevent from, CUevent to) {
	return IN(c, cuEventElapsedTime(ms, from, to));
}

int rave_module_load(const rave_driver *d, CUcontext c, CUmodule *m, const void *image, char *log, size_t size) {
	enum { ERROR_LOG_BUFFER = 5, ERROR_LOG_BUFFER_SIZE_BYTES = 6 }; // CUjit_option
	int options[] = {ERROR_LOG_BUFFER, ERROR_LOG_BUFFER_SIZE_BYTES};
	void *values[] = {log, (void *)size};
	return IN(c, cuModuleLoadDataEx(m, image, 2, options, values));
}

int rave_module_free(const rave_driver *d, CUcontext c, CUmodule m) { return IN(c, cuModuleUnload(m)); }
int rave_function(const rave_driver *d, CUcontext c, CUmodule m, const char *name, CUfunction *f) {
	return IN(c, cuModuleGetFunction(f, m, name));
}

int rave_parameter(const rave_driver *d, CUcontext c, CUfunction f, size_t index, size_t *size) {
	size_t offset;
	return IN(c, cuFuncGetParamInfo(f, index, &offset, size));
}

int rave_launch(const rave_driver *d, CUcontext c, CUfunction f, const rave_launch_size *size, CUstream s, uint64_t *args, int n) {
	void *params[RAVE_MAX_ARGS];
	for (int i = 0; i < n; i++) params[i] = &args[i]; // little-endian: smaller values are the first bytes
	const uint32_t *g = size->grid, *b = size->block;
	return IN(c, cuLaunchKernel(f, g[0], g[1], g[2], b[0], b[1], b[2], size->shared, s, params, NULL));
}

int rave_nvml_init(const rave_nvml *l) { return l->nvmlInit_v2(); }
int rave_nvml_shutdown(const rave_nvml *l) { return l->nvmlShutdown(); }
const char *rave_nvml_error(const rave_nvml *l, int code) {
	const char *s = ((const char *(*)(int))(uintptr_t)l->nvmlErrorString)(code);
	return s ? s : "";
}
int rave_nvml_driver(const rave_nvml *l, char *version, unsigned size) { return l->nvmlSystemGetDriverVersion(version, size); }
int rave_nvml_device(const rave_nvml *l, const char *uuid, uintptr_t *device) { return l->nvmlDeviceGetHandleByUUID(uuid, device); }
int rave_nvml_memory(const rave_nvml *l, uintptr_t device, nvmlMemory_t *m) { return l->nvmlDeviceGetMemoryInfo(device, m); }
int rave_nvml_processes(const rave_nvml *l, uintptr_t device, unsigned *n, nvmlProcessInfo_t *p) {
	return l->nvmlDeviceGetComputeRunningProcesses_v3(device, n, p);
}

int rave_decoder_caps(const rave_driver *d, const rave_cuvid *v, CUcontext c, CUVIDDECODECAPS *caps) {
	int r = d->cuCtxSetCurrent(c);
	return r ? r : v->cuvidGetDecoderCaps(caps);
}

int rave_nvenc_version(const rave_nvenc *l, uint32_t *version) { return l->NvEncodeAPIGetMaxSupportedVersion(version); }

int rave_nvenc_try(const rave_driver *d, const rave_nvenc *l, CUcontext c, NVENC_GUID *codecs, uint32_t size, uint32_t *n) {
	enum { MAJOR = 12, MINOR = 1, API = MAJOR | MINOR << 24, CUDA = 1, GENERIC = 20 };
#define STRUCT_VERSION(v) ((uint32_t)API | (v) << 16 | 7u << 28)
	NVENC_FUNCTIONS f = {.version = STRUCT_VERSION(2)};
	int r = l->NvEncodeAPICreateInstance(&f);
	if (r) return r;
	if (d->cuCtxSetCurrent(c)) return GENERIC;
	NVENC_OPEN_SESSION open = {.version = STRUCT_VERSION(1), .deviceType = CUDA, .device = (void *)c, .apiVersion = API};
	void *session = NULL;
	r = f.openEncodeSessionEx(&open, &session);
	if (!r) r = f.getEncodeGUIDs(session, codecs, size, n);
	if (session) f.destroyEncoder(session); // also after an error, as the interface's guide asks
	return r;
}
