#include "shim.h"

#include <libavutil/log.h>
#include <libavutil/opt.h>
#include <stdarg.h>
#include <string.h>

#include "_cgo_export.h"

static int rave_log_level = AV_LOG_WARNING;

static void rave_log_callback(void *ctx, int level, const char *fmt, va_list args) {
  char line[1024]; // longer lines are cut, never overflowed
  int prefix = 1;
  if (level > rave_log_level) return;
  if (av_log_format_line2(ctx, level, fmt, args, line, sizeof line, &prefix) < 0) return;
  raveLogLine(level, line);
}

void rave_log_install(int level) {
  rave_log_level = level;
  av_log_set_level(level);
  av_log_set_callback(rave_log_callback);
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

void rave_decoder_limit(AVCodecContext *c, int64_t pixels) { c->max_pixels = pixels; }

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
