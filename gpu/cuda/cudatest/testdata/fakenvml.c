#include "fake.h"

#include <unistd.h>

typedef struct { unsigned long long total, free, used; } memory;
typedef struct { unsigned pid; unsigned long long used; unsigned instance[2]; } process;
enum { GiB = 1 << 30, NOT_FOUND = 6, TOO_SMALL = 7, OWN_CONTEXT = 400 << 20 };

int nvmlInit_v2(void) { return number("FAKE_NVML_FAIL", 0); }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return code == 999 ? "Unknown Error" : "Some Error"; }

int nvmlSystemGetDriverVersion(char *version, unsigned size) {
	const char *v = getenv("FAKE_NVML_DRIVER");
	snprintf(version, size, "%s", v ? v : "580.65.06");
	return 0;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, uintptr_t *device) {
	if (strcmp(uuid, "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f")) return NOT_FOUND;
	*device = 1;
	return 0;
}

int nvmlDeviceGetMemoryInfo(uintptr_t device, memory *m) {
	m->total = GiB;
	m->used = number("FAKE_NVML_USED", OWN_CONTEXT) + (100 << 20); // others have something, too
	m->free = m->total - m->used;
	return 0;
}

int nvmlDeviceGetComputeRunningProcesses_v3(uintptr_t device, unsigned *n, process *p) {
	if (*n < 2) return TOO_SMALL;
	*n = 2;
	p[0] = (process){.pid = 1, .used = 100 << 20};
	p[1] = (process){.pid = getpid(), .used = number("FAKE_NVML_USED", OWN_CONTEXT)};
	return 0;
}
