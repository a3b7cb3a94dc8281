// The part of ONNX Runtime's C interface that is used (onnxruntime_c_api.h). Objects are addresses that only it looks into.
#ifndef RAVE_ORT_SHIM_H
#define RAVE_ORT_SHIM_H

#include <stddef.h>
#include <stdint.h>

// The version of the table that is asked for, and the functions' places in it.
enum {
	ORT_API_VERSION = 26,
	ORT_GetErrorMessage = 2,
	ORT_CreateEnv = 3,
	ORT_DisableTelemetryEvents = 6,
	ORT_CreateSessionFromArray = 8,
	ORT_CreateSessionOptions = 10,
	ORT_SetSessionLogSeverityLevel = 22,
	ORT_SetIntraOpNumThreads = 24,
	ORT_CreateRunOptions = 39,
	ORT_RunOptionsSetTerminate = 46,
	ORT_CreateTensorWithDataAsOrtValue = 49,
	ORT_CreateMemoryInfo = 68,
	ORT_ReleaseEnv = 92,
	ORT_ReleaseStatus = 93,
	ORT_ReleaseMemoryInfo = 94,
	ORT_ReleaseSession = 95,
	ORT_ReleaseValue = 96,
	ORT_ReleaseRunOptions = 97,
	ORT_ReleaseSessionOptions = 100,
	ORT_AddSessionConfigEntry = 130,
	ORT_RunWithBinding = 133,
	ORT_CreateIoBinding = 134,
	ORT_ReleaseIoBinding = 135,
	ORT_BindInput = 136,
	ORT_BindOutput = 137,
	ORT_AddRunConfigEntry = 165,
	ORT_SessionOptionsAppendExecutionProvider_CUDA_V2 = 204,
	ORT_CreateCUDAProviderOptions = 205,
	ORT_UpdateCUDAProviderOptions = 206,
	ORT_ReleaseCUDAProviderOptions = 208,
	ORT_UpdateCUDAProviderOptionsWithValue = 263,
};

typedef void *const *rave_ort; // the table

// Functions return NULL, or the reason in memory that the caller frees.

// From OrtGetApiBase: the table, or NULL if this library is too old for it; version is the library's.
rave_ort rave_ort_api(uintptr_t get_api_base, const char **version);
char *rave_ort_env(rave_ort o, void **env);
void rave_ort_release(rave_ort o, int what, void *object); // what: ORT_Release...

// n pairs of keys and values.
typedef struct { const char **keys, **values; size_t n; } rave_entries;
// The CUDA provider has options, else the session is on the CPU; its work goes to the stream.
char *rave_ort_session(rave_ort o, void *env, const void *model, size_t size, rave_entries config, rave_entries provider, uintptr_t stream,
                       void **session);

typedef struct { const char *name; uint64_t data; size_t size; const int64_t *shape; size_t dimensions; int type, output; } rave_tensor;
// Binds a tensor in the memory of a device ("Cuda" or "Cpu"); the value is released after the binding.
char *rave_ort_bind(rave_ort o, void *binding, const char *device, int index, const rave_tensor *t, void **value);
char *rave_ort_binding(rave_ort o, void *session, void **binding);
char *rave_ort_options(rave_ort o, rave_entries config, void **options);
char *rave_ort_terminate(rave_ort o, void *options);
char *rave_ort_run(rave_ort o, void *session, void *options, void *binding);

#endif
