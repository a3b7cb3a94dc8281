#include "fake.h"

typedef struct { uint32_t d1; uint16_t d2, d3; uint8_t d4[8]; } guid;
typedef struct { uint32_t version, type; void *device, *reserved; uint32_t api; } session_params;
typedef struct { uint32_t version, reserved; void *f[318]; } functions;
enum { STRUCT = 7 << 28, INVALID_PARAM = 8, INVALID_VERSION = 15, NOT_INITIALIZED = 11, GET_GUIDS = 4, DESTROY = 27, OPEN = 29 };

static int sessions;

static int open_session(session_params *p, void **session) {
	if (p->version != (p->api | 1 << 16 | STRUCT)) return INVALID_VERSION;
	if (p->type != 1 || !p->device) return INVALID_PARAM;
	sessions++;
	*session = &sessions;
	return number("FAKE_NVENC_STATUS", 0);
}

static int destroy(void *session) {
	if (session != &sessions || !sessions) return NOT_INITIALIZED;
	sessions--;
	return 0;
}

static int get_guids(void *session, guid *g, uint32_t size, uint32_t *n) {
	if (!sessions || size < 2) return INVALID_PARAM;
	g[0].d1 = 0x6bc82762;
	g[1].d1 = 0x790cdc88;
	*n = 2;
	return 0;
}

int NvEncodeAPIGetMaxSupportedVersion(uint32_t *version) {
	*version = 13 << 4 | 0;
	return 0;
}

int NvEncodeAPICreateInstance(functions *f) {
	if ((f->version & ~0x0f0000ffu) != (2 << 16 | STRUCT)) return INVALID_VERSION;
	if (sessions) return INVALID_PARAM; // one before was not closed
	f->f[GET_GUIDS] = get_guids;
	f->f[DESTROY] = destroy;
	f->f[OPEN] = open_session;
	return 0;
}
