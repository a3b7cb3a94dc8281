#include "shim.h"

#include <libavutil/log.h>
#include <libavutil/opt.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "_cgo_export.h"

struct rave_decoder {
  uintptr_t handle;
  atomic_int found;
  atomic_int width, height; // of a picture that FFmpeg refused
};

// The decoder that logs, or NULL. Contexts within it (of libavutil's image functions) name it as their parent.
static rave_decoder *decoder_of(void *ctx) {
  for (int depth = 0; ctx && depth < 4; depth++) {
    const AVClass *class = *(const AVClass **)ctx;
    if (!class) return NULL;
    if (class == avcodec_get_class()) {
      const AVCodecContext *c = ctx;
      return c->codec && av_codec_is_decoder(c->codec) ? c->opaque : NULL;
    }
    if (!class->parent_log_context_offset) return NULL;
    ctx = *(void **)((uint8_t *)ctx + class->parent_log_context_offset);
  }
  return NULL;
}

static int begins(const char *fmt, const char *with) { return !strncmp(fmt, with, strlen(with)); }

// FFmpeg says some things about an access unit in its log only.
static void find(rave_decoder *d, const char *fmt, const char *line, va_list args) {
  if (begins(fmt, "Could not find ref with POC")) atomic_fetch_or(&d->found, RAVE_MISSING);
  if (begins(fmt, "error while decoding MB")) atomic_fetch_or(&d->found, RAVE_DAMAGED);
  if (begins(fmt, "Skipping invalid undecodable NALU: %d")) { // 0 to 31 are slices (ITU-T H.265 table 7-1)
    if (atoi(strrchr(line, ' ')) < 32) atomic_fetch_or(&d->found, RAVE_DAMAGED);
  }
  if (begins(fmt, "Picture size %ux%u")) {
    atomic_store(&d->width, va_arg(args, unsigned));
    atomic_store(&d->height, va_arg(args, unsigned));
    atomic_fetch_or(&d->found, RAVE_TOO_LARGE);
  }
}

static void rave_log_callback(void *ctx, int level, const char *fmt, va_list args) {
  char line[1024]; // longer lines are cut, never overflowed
  int prefix = 1;
  rave_decoder *d;
  va_list copy;
  if (level > AV_LOG_WARNING) return;
  va_copy(copy, args);
  if (av_log_format_line2(ctx, level, fmt, args, line, sizeof line, &prefix) >= 0) {
    d = decoder_of(ctx);
    if (d) find(d, fmt, line, copy);
    raveLogLine(d ? d->handle : 0, (char *)fmt, level, line);
  }
  va_end(copy);
}

static void install(void) {
  av_log_set_level(AV_LOG_WARNING);
  av_log_set_callback(rave_log_callback);
}

void rave_log_install(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, install);
}

rave_decoder *rave_decoder_new(AVCodecContext *c, uintptr_t handle, int64_t pixels) {
  rave_decoder *d = calloc(1, sizeof *d);
  if (!d) return NULL;
  d->handle = handle;
  c->opaque = d;
  c->max_pixels = pixels;
  return d;
}

int rave_decoder_found(rave_decoder *d, int *width, int *height) {
  *width = atomic_load(&d->width);
  *height = atomic_load(&d->height);
  return atomic_exchange(&d->found, 0);
}

int rave_frame_damage(const AVFrame *f) { return (f->decode_error_flags ? 1 : 0) | (f->flags & AV_FRAME_FLAG_CORRUPT ? 2 : 0); }

int rave_frame_interlaced(const AVFrame *f) { return (f->flags & AV_FRAME_FLAG_INTERLACED) != 0; }

int rave_decoder_send(AVCodecContext *c, AVPacket *p, const uint8_t *data, int size, int64_t pts) {
  int err = av_new_packet(p, size);
  if (err < 0) return err;
  memcpy(p->data, data, size);
  p->pts = pts;
  err = avcodec_send_packet(c, p);
  av_packet_unref(p);
  return err;
}

void rave_decoder_skip_nonref(AVCodecContext *c, int on) { c->skip_frame = on ? AVDISCARD_NONREF : AVDISCARD_DEFAULT; }

int rave_decoder_reorder(const AVCodecContext *c) { return c->has_b_frames; }

struct SwsContext *rave_sws_new(int sw, int sh, int sfmt, int srange, int smatrix, int dw, int dh, int dfmt, int drange,
                                int dmatrix, int flags, int threads) {
  struct SwsContext *c = sws_alloc_context();
  if (!c) return NULL;
  av_opt_set_int(c, "srcw", sw, 0);
  av_opt_set_int(c, "srch", sh, 0);
  av_opt_set_int(c, "src_format", sfmt, 0);
  av_opt_set_int(c, "src_range", srange, 0);
  av_opt_set_int(c, "dstw", dw, 0);
  av_opt_set_int(c, "dsth", dh, 0);
  av_opt_set_int(c, "dst_format", dfmt, 0);
  av_opt_set_int(c, "dst_range", drange, 0);
  av_opt_set_int(c, "sws_flags", flags, 0);
  av_opt_set_int(c, "threads", threads, 0);
  if (sws_init_context(c, NULL, NULL) < 0) {
    sws_freeContext(c);
    return NULL;
  }
  // An error here means that the pair of formats has no colour conversion to set (gray to gray): nothing to do then.
  sws_setColorspaceDetails(c, sws_getCoefficients(smatrix), srange, sws_getCoefficients(dmatrix), drange, 0, 1 << 16, 1 << 16);
  return c;
}

int rave_sws_plane(struct SwsContext *c, const uint8_t *src, int sstride, int sh, uint8_t *dst, int dstride) {
  const uint8_t *s[4] = {src};
  uint8_t *d[4] = {dst};
  int ss[4] = {sstride}, ds[4] = {dstride};
  return sws_scale(c, s, ss, 0, sh, d, ds);
}

int rave_sws_frame_to_planes(struct SwsContext *c, const AVFrame *src, uint8_t *d0, uint8_t *d1, uint8_t *d2, int dstride) {
  uint8_t *d[4] = {d0, d1, d2};
  int ds[4] = {dstride, dstride, dstride};
  return sws_scale(c, (const uint8_t *const *)src->data, src->linesize, 0, src->height, d, ds);
}

int rave_sws_planes_to_frame(struct SwsContext *c, const uint8_t *s0, const uint8_t *s1, const uint8_t *s2, int sstride, int sh,
                             AVFrame *dst) {
  const uint8_t *s[4] = {s0, s1, s2};
  int ss[4] = {sstride, sstride, sstride};
  return sws_scale(c, s, ss, 0, sh, dst->data, dst->linesize);
}

int rave_sws_frame(struct SwsContext *c, AVFrame *dst, const AVFrame *src) { return sws_scale_frame(c, dst, src); }
