#include "shim.h"

#include <stdlib.h>
#include <string.h>

typedef void *status;
#define DO(place, types, ...) (((status(*) types)o[ORT_##place])(__VA_ARGS__))

// failed turns a status into its text, and releases it.
static char *failed(rave_ort o, status s) {
	if (!s) return NULL;
	const char *text = ((const char *(*)(status))o[ORT_GetErrorMessage])(s);
	char *copy = strdup(text ? text : "no reason given");
	rave_ort_release(o, ORT_ReleaseStatus, s);
	return copy;
}

void rave_ort_release(rave_ort o, int what, void *object) {
	if (object) ((void (*)(void *))o[what])(object);
}

rave_ort rave_ort_api(uintptr_t get_api_base, const char **version) {
	typedef struct { const void *(*get_api)(uint32_t); const char *(*get_version)(void); } base;
	const base *b = ((const base *(*)(void))get_api_base)();
	*version = b->get_version();
	return b->get_api(ORT_API_VERSION);
}

char *rave_ort_env(rave_ort o, void **env) {
	enum { ERRORS = 3 };
	status s = DO(CreateEnv, (int, const char *, void **), ERRORS, "rave", env);
	if (!s) s = DO(DisableTelemetryEvents, (void *), *env);
	return failed(o, s);
}

// The stream must be given as a pointer, and last. As a text among the other options it is taken to be there and to be 0, the
// legacy stream; and options that follow it undo it.
static status cuda_options(rave_ort o, rave_entries e, uintptr_t stream, void *session_options) {
	void *cuda = NULL;
	status s = DO(CreateCUDAProviderOptions, (void **), &cuda);
	if (!s) s = DO(UpdateCUDAProviderOptions, (void *, const char *const *, const char *const *, size_t), cuda, e.keys, e.values, e.n);
	if (!s) s = DO(UpdateCUDAProviderOptionsWithValue, (void *, const char *, void *), cuda, "user_compute_stream", (void *)stream);
	if (!s) s = DO(SessionOptionsAppendExecutionProvider_CUDA_V2, (void *, const void *), session_options, cuda);
	rave_ort_release(o, ORT_ReleaseCUDAProviderOptions, cuda);
	return s;
}

char *rave_ort_session(rave_ort o, void *env, const void *model, size_t size, rave_entries config, rave_entries provider, uintptr_t stream,
                       void **session) {
	enum { FATAL = 4 }; // errors are returned
	void *options = NULL;
	status s = DO(CreateSessionOptions, (void **), &options);
	if (!s) s = DO(SetSessionLogSeverityLevel, (void *, int), options, FATAL);
	if (!s) s = DO(SetIntraOpNumThreads, (void *, int), options, 1);
	for (size_t i = 0; !s && i < config.n; i++)
		s = DO(AddSessionConfigEntry, (void *, const char *, const char *), options, config.keys[i], config.values[i]);
	if (!s && provider.n) s = cuda_options(o, provider, stream, options);
	if (!s) s = DO(CreateSessionFromArray, (const void *, const void *, size_t, const void *, void **), env, model, size, options, session);
	rave_ort_release(o, ORT_ReleaseSessionOptions, options);
	return failed(o, s);
}

char *rave_ort_binding(rave_ort o, void *session, void **binding) {
	return failed(o, DO(CreateIoBinding, (void *, void **), session, binding));
}

char *rave_ort_bind(rave_ort o, void *binding, const char *device, int index, const rave_tensor *t, void **value) {
	enum { DEVICE_ALLOCATOR = 0, DEFAULT_MEMORY = 0 };
	void *info = NULL;
	status s = DO(CreateMemoryInfo, (const char *, int, int, int, void **), device, DEVICE_ALLOCATOR, index, DEFAULT_MEMORY, &info);
	if (!s)
		s = DO(CreateTensorWithDataAsOrtValue, (const void *, void *, size_t, const int64_t *, size_t, int, void **), info, (void *)(uintptr_t)t->data, t->size,
		       t->shape, t->dimensions, t->type, value);
	if (!s && t->output) s = DO(BindOutput, (void *, const char *, const void *), binding, t->name, *value);
	else if (!s) s = DO(BindInput, (void *, const char *, const void *), binding, t->name, *value);
	rave_ort_release(o, ORT_ReleaseMemoryInfo, info);
	return failed(o, s);
}

char *rave_ort_options(rave_ort o, rave_entries config, void **options) {
	status s = DO(CreateRunOptions, (void **), options);
	for (size_t i = 0; !s && i < config.n; i++)
		s = DO(AddRunConfigEntry, (void *, const char *, const char *), *options, config.keys[i], config.values[i]);
	return failed(o, s);
}

char *rave_ort_terminate(rave_ort o, void *options) { return failed(o, DO(RunOptionsSetTerminate, (void *), options)); }

char *rave_ort_run(rave_ort o, void *session, void *options, void *binding) {
	return failed(o, DO(RunWithBinding, (void *, const void *, const void *), session, options, binding));
}
