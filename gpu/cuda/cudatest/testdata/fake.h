// What the fakes have in common: they are told by the environment what to be.
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline long long number(const char *name, long long otherwise) {
	const char *s = getenv(name);
	return s && *s ? strtoll(s, NULL, 0) : otherwise;
}

// The value of a symbol in a list such as "cuMemAlloc_v2=2 cuLaunchKernel=700", or 0.
static inline int listed(const char *list, const char *symbol) {
	const char *s = getenv(list);
	size_t n = strlen(symbol);
	for (; s && (s = strstr(s, symbol)); s += n)
		if (s[n] == '=') return atoi(s + n + 1);
	return 0;
}
