// A libcuda without a GPU. "Device memory" is the host's, at addresses that the host cannot use by mistake (their highest
// bit is set); work on a stream is done at once. Everything begins anew when the library is closed and opened again.
#include "fake.h"

#include <pthread.h>

typedef struct memory { uint64_t at; size_t n; struct memory *next; } memory;
typedef struct { int magic, recorded, pending; double ms; } event;
typedef struct { int magic; } stream;
typedef struct { int magic; char *ptx; } module;
typedef struct { int magic, n; size_t sizes[64]; char name[128]; } function;
typedef struct {
	size_t src_x, src_y; int src_type; const void *src_host; uint64_t src; void *src_array; size_t src_pitch;
	size_t dst_x, dst_y; int dst_type; void *dst_host; uint64_t dst; void *dst_array; size_t dst_pitch;
	size_t width, height;
} copy2d;

enum { INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101, INVALID_PTX = 218, INVALID_CONTEXT = 201,
       INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600, ILLEGAL_ADDRESS = 700, CONTEXT_ACTIVE = 708 };
enum { STREAM = 0x5741, EVENT = 0xe7e7, MODULE = 0x30d1, FUNCTION = 0xf1c7, CONTEXT = 0xc0de };
#define DEVICE (1ull << 63)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // around every call
static memory *allocated;
static size_t used;
static int initialised, retained, lost;
static unsigned flags;
static double clock_ms;
static __thread int current; // whether this thread has the context

static void note(const char *line) {
	const char *path = getenv("FAKE_CUDA_LOG");
	FILE *f = path && *path ? fopen(path, "a") : NULL;
	if (!f) return;
	fprintf(f, "%s\n", line);
	fclose(f);
}

// What a call returns before it does anything.
static int begins(const char *symbol, int in_context) {
	note(symbol);
	if (lost) return lost;
	if (!initialised && in_context >= 0) return NOT_INITIALIZED;
	if (in_context > 0 && (!current || !retained)) return INVALID_CONTEXT;
	int code = listed("FAKE_CUDA_FAIL", symbol);
	if (code >= 700 && code < 720 && code != CONTEXT_ACTIVE) lost = code;
	return code;
}

// CALL defines a function of libcuda: its body sees code, which is 0 at first, and sets it.
#define CALL(symbol, in_context, params, ...)             \
	int symbol params {                               \
		pthread_mutex_lock(&lock);                \
		int code = begins(#symbol, in_context);   \
		if (!code) { __VA_ARGS__ }                \
		pthread_mutex_unlock(&lock);              \
		return code;                              \
	}

// The host's address of n bytes of device memory, or NULL if they are not all in one allocation.
static char *host(uint64_t at, size_t n) {
	for (memory *m = allocated; m; m = m->next)
		if (at >= m->at && n <= m->n && at - m->at <= m->n - n) return (char *)(at & ~DEVICE);
	lost = ILLEGAL_ADDRESS;
	return NULL;
}

static int is(const void *handle, int magic) { return handle && *(const int *)handle == magic; }

CALL(cuDriverGetVersion, -1, (int *v), { *v = number("FAKE_CUDA_VERSION", 13000); })
CALL(cuInit, -1, (unsigned f), {
	initialised = 1;
	if (number("FAKE_CUDA_DEVICES", 1) == 0) code = NO_DEVICE;
})

int cuGetErrorName(int code, const char **s) {
	switch (code) {
	case INVALID_VALUE: *s = "CUDA_ERROR_INVALID_VALUE"; return 0;
	case OUT_OF_MEMORY: *s = "CUDA_ERROR_OUT_OF_MEMORY"; return 0;
	case NO_DEVICE: *s = "CUDA_ERROR_NO_DEVICE"; return 0;
	case INVALID_PTX: *s = "CUDA_ERROR_INVALID_PTX"; return 0;
	case NOT_FOUND: *s = "CUDA_ERROR_NOT_FOUND"; return 0;
	case ILLEGAL_ADDRESS: *s = "CUDA_ERROR_ILLEGAL_ADDRESS"; return 0;
	}
	*s = NULL;
	return INVALID_VALUE;
}

int cuGetErrorString(int code, const char **s) {
	*s = code == OUT_OF_MEMORY ? "out of memory" : code == ILLEGAL_ADDRESS ? "an illegal memory access was encountered" : "a text";
	return 0;
}

CALL(cuDeviceGetCount, 0, (int *n), { *n = number("FAKE_CUDA_DEVICES", 1); })
CALL(cuDeviceGet, 0, (int *device, int i), {
	if (i < 0 || i >= number("FAKE_CUDA_DEVICES", 1)) code = INVALID_DEVICE;
	*device = i;
})
CALL(cuDeviceGetName, 0, (char *name, int n, int device), {
	const char *s = getenv("FAKE_CUDA_NAME");
	snprintf(name, n, "%s", s ? s : "Fake GPU");
})
CALL(cuDeviceGetUuid_v2, 0, (unsigned char *uuid, int device), { for (int i = 0; i < 16; i++) uuid[i] = i; })
CALL(cuDeviceTotalMem_v2, 0, (size_t *n, int device), { *n = number("FAKE_CUDA_MEMORY", 1 << 30); })
CALL(cuDeviceGetAttribute, 0, (int *v, int attribute, int device), {
	*v = attribute == 75 ? number("FAKE_CUDA_MAJOR", 9) : attribute == 76 ? number("FAKE_CUDA_MINOR", 0) : 132;
})
CALL(cuDevicePrimaryCtxSetFlags_v2, 0, (int device, unsigned f), {
	if (getenv("FAKE_CUDA_FLAGS")) code = CONTEXT_ACTIVE;
	flags = number("FAKE_CUDA_FLAGS", f);
})
CALL(cuDevicePrimaryCtxRetain, 0, (uintptr_t *c, int device), { retained++; *c = CONTEXT; })
CALL(cuDevicePrimaryCtxRelease_v2, 0, (int device), {
	if (!retained) code = INVALID_CONTEXT;
	else retained--;
})
CALL(cuDevicePrimaryCtxGetState, 0, (int device, unsigned *f, int *active), { *f = flags; *active = retained > 0; })
CALL(cuCtxSetCurrent, 0, (uintptr_t c), {
	if (c != CONTEXT || !retained) code = INVALID_CONTEXT;
	current = !code;
})
CALL(cuMemGetInfo_v2, 1, (size_t *free, size_t *total), {
	*total = number("FAKE_CUDA_MEMORY", 1 << 30);
	*free = *total - used;
})
CALL(cuMemAlloc_v2, 1, (uint64_t *p, size_t n), {
	memory *m = NULL;
	void *at = NULL;
	if (used + n > number("FAKE_CUDA_MEMORY", 1 << 30) || !(m = malloc(sizeof *m)) || posix_memalign(&at, 256, n)) {
		free(m);
		code = OUT_OF_MEMORY;
	} else {
		*m = (memory){(uintptr_t)at | DEVICE, n, allocated};
		allocated = m;
		used += n;
		*p = m->at;
	}
})
CALL(cuMemFree_v2, 1, (uint64_t p), {
	memory **m = &allocated;
	while (*m && (*m)->at != p) m = &(*m)->next;
	if (!*m) code = INVALID_VALUE;
	else {
		memory *gone = *m;
		*m = gone->next;
		used -= gone->n;
		free((void *)(uintptr_t)(gone->at & ~DEVICE));
		free(gone);
	}
})
CALL(cuMemHostAlloc, 1, (void **p, size_t n, unsigned f), { if (!(*p = malloc(n))) code = OUT_OF_MEMORY; })
CALL(cuMemFreeHost, 1, (void *p), { free(p); })
CALL(cuMemcpyHtoDAsync_v2, 1, (uint64_t dst, const void *src, size_t n, stream *s), {
	char *d = host(dst, n);
	if (!is(s, STREAM)) code = INVALID_HANDLE;
	else if (d) memcpy(d, src, n);
	else code = lost;
})
CALL(cuMemcpyDtoHAsync_v2, 1, (void *dst, uint64_t src, size_t n, stream *s), {
	char *from = host(src, n);
	if (!is(s, STREAM)) code = INVALID_HANDLE;
	else if (from) memcpy(dst, from, n);
	else code = lost;
})
CALL(cuMemcpyDtoDAsync_v2, 1, (uint64_t dst, uint64_t src, size_t n, stream *s), {
	char *d = host(dst, n);
	char *from = host(src, n);
	if (!is(s, STREAM)) code = INVALID_HANDLE;
	else if (d && from) memmove(d, from, n);
	else code = lost;
})
CALL(cuMemcpy2DAsync_v2, 1, (const copy2d *c, stream *s), {
	if (!is(s, STREAM)) code = INVALID_HANDLE;
	for (size_t y = 0; !code && y < c->height; y++) {
		const char *from = c->src_type == 1 ? (const char *)c->src_host + y * c->src_pitch : host(c->src + y * c->src_pitch, c->width);
		char *to = c->dst_type == 1 ? (char *)c->dst_host + y * c->dst_pitch : host(c->dst + y * c->dst_pitch, c->width);
		if (from && to) memcpy(to, from, c->width);
		else code = lost;
	}
})
CALL(cuMemsetD8Async, 1, (uint64_t dst, unsigned char v, size_t n, stream *s), {
	char *d = host(dst, n);
	if (!is(s, STREAM)) code = INVALID_HANDLE;
	else if (d) memset(d, v, n);
	else code = lost;
})

CALL(cuStreamCreate, 1, (stream **s, unsigned f), { *s = malloc(sizeof **s); (*s)->magic = STREAM; })
CALL(cuStreamDestroy_v2, 1, (stream *s), {
	if (!is(s, STREAM)) code = INVALID_HANDLE;
	else { s->magic = 0; free(s); }
})
CALL(cuStreamSynchronize, 1, (stream *s), { if (!is(s, STREAM)) code = INVALID_HANDLE; })
CALL(cuStreamWaitEvent, 1, (stream *s, event *e, unsigned f), { if (!is(s, STREAM) || !is(e, EVENT)) code = INVALID_HANDLE; })
CALL(cuEventCreate, 1, (event **e, unsigned f), { *e = calloc(1, sizeof **e); (*e)->magic = EVENT; })
CALL(cuEventDestroy_v2, 1, (event *e), {
	if (!is(e, EVENT)) code = INVALID_HANDLE;
	else { e->magic = 0; free(e); }
})
CALL(cuEventRecord, 1, (event *e, stream *s), {
	if (!is(s, STREAM) || !is(e, EVENT)) code = INVALID_HANDLE;
	else { e->recorded = 1; e->pending = number("FAKE_CUDA_PENDING", 0); e->ms = clock_ms += 1.5; }
})
CALL(cuEventQuery, 1, (event *e), {
	if (!is(e, EVENT)) code = INVALID_HANDLE;
	else if (e->pending > 0) { e->pending--; code = NOT_READY; }
})
CALL(cuEventSynchronize, 1, (event *e), {
	if (!is(e, EVENT)) code = INVALID_HANDLE;
	else e->pending = 0;
})
CALL(cuEventElapsedTime, 1, (float *ms, event *from, event *to), {
	if (!is(from, EVENT) || !is(to, EVENT) || !from->recorded || !to->recorded) code = INVALID_HANDLE;
	else *ms = to->ms - from->ms;
})

CALL(cuModuleLoadDataEx, 1, (module **m, const void *image, unsigned n, int *options, void **values), {
	if (!strstr(image, ".entry")) {
		for (unsigned i = 0; i < n; i++) // 5: the error log's buffer
			if (options[i] == 5) strcpy(values[i], "ptxas application ptx input, line 1; fatal : no .entry\n");
		code = INVALID_PTX;
	} else {
		*m = malloc(sizeof **m);
		**m = (module){MODULE, strdup(image)};
	}
})
CALL(cuModuleUnload, 1, (module *m), {
	if (!is(m, MODULE)) code = INVALID_HANDLE;
	else { m->magic = 0; free(m->ptx); free(m); }
})
// Functions are never freed: there are few, and a module may be gone before them.
CALL(cuModuleGetFunction, 1, (function **f, module *m, const char *name), {
	char want[160];
	snprintf(want, sizeof want, ".entry %s(", name);
	const char *at = is(m, MODULE) ? strstr(m->ptx, want) : NULL;
	if (!at) code = NOT_FOUND;
	else {
		*f = calloc(1, sizeof **f);
		(*f)->magic = FUNCTION;
		snprintf((*f)->name, sizeof (*f)->name, "%s", name);
		const char *end = strchr(at + strlen(want), ')');
		while ((at = strstr(at, ".param .")) && at < end && (*f)->n < 64) {
			at += strlen(".param .");
			(*f)->sizes[(*f)->n++] = atoi(at + 1) / 8; // u32, f32, u64
		}
	}
})
CALL(cuFuncGetParamInfo, 1, (function *f, size_t i, size_t *offset, size_t *size), {
	if (!is(f, FUNCTION)) code = INVALID_HANDLE;
	else if (i >= f->n) code = INVALID_VALUE;
	else { *offset = 0; *size = f->sizes[i]; }
})
CALL(cuLaunchKernel, 1, (function *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, stream *s,
			 void **params, void **extra), {
	if (!is(f, FUNCTION) || !is(s, STREAM)) code = INVALID_HANDLE;
	else if (bx * by * bz > 1024 || gx * gy * gz == 0 || bx * by * bz == 0) code = INVALID_VALUE;
	else {
		char line[4096];
		int n = snprintf(line, sizeof line, "launch %s %ux%ux%u %ux%ux%u %u", f->name, gx, gy, gz, bx, by, bz, shared);
		for (int i = 0; i < f->n; i++) {
			uint64_t v = 0;
			memcpy(&v, params[i], f->sizes[i]);
			n += snprintf(line + n, sizeof line - n, " %#llx", (unsigned long long)v);
		}
		note(line);
	}
})
