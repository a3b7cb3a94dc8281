#include "fake.h"

typedef struct {
	int codec, chroma;
	unsigned bits_minus_8, reserved1[3];
	unsigned char supported, engines;
	unsigned short surfaces;
	unsigned max_width, max_height, max_macroblocks;
	unsigned short min_width, min_height;
	unsigned char rest[44];
} caps;

int cuvidGetDecoderCaps(caps *c) {
	char want[16];
	const char *codecs = getenv("FAKE_CUVID_CODECS");
	if (!codecs) codecs = "4:8 5:8 8:8 8:10 10:8 11:8";
	snprintf(want, sizeof want, "%d:%u", c->codec, c->bits_minus_8 + 8);
	for (const char *s = codecs; c->chroma == 1 && (s = strstr(s, want)); s++) {
		char end = s[strlen(want)];
		if ((s > codecs && s[-1] != ' ') || (end && end != ' ')) continue;
		c->supported = 1;
		c->engines = 7;
		c->surfaces = c->bits_minus_8 ? 3 : 1;
		c->max_width = c->max_height = number("FAKE_CUVID_MAX", 4096);
		c->max_macroblocks = (c->max_width / 16) * (c->max_height / 16);
		c->min_width = c->min_height = 48;
	}
	return listed("FAKE_CUDA_FAIL", "cuvidGetDecoderCaps");
}
