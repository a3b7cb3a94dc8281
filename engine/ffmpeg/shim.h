// The few things go-astiav does not offer.
#ifndef RAVE_FFMPEG_SHIM_H
#define RAVE_FFMPEG_SHIM_H

#include <libavcodec/avcodec.h>
#include <libavutil/frame.h>
#include <libswscale/swscale.h>

// Once: FFmpeg's log lines go to raveLogLine.
void rave_log_install(void);

// What is known of one decoder beside its context: the handle is for raveLogLine.
typedef struct rave_decoder rave_decoder;
rave_decoder *rave_decoder_new(AVCodecContext *c, uintptr_t handle, int64_t pixels);

// What the decoder said since the last call; the size belongs to RAVE_TOO_LARGE.
enum { RAVE_MISSING = 1, RAVE_DAMAGED = 2, RAVE_TOO_LARGE = 4 };
int rave_decoder_found(rave_decoder *d, int *width, int *height);

// 0, or bits: 1 decode errors were concealed, 2 the frame is marked corrupt
int rave_frame_damage(const AVFrame *f);
int rave_frame_interlaced(const AVFrame *f);

// Sends a copy of data, with the zeros behind it that FFmpeg's readers run into (go-astiav's FromData leaves them out).
int rave_decoder_send(AVCodecContext *c, AVPacket *p, const uint8_t *data, int size, int64_t pts);
void rave_decoder_skip_nonref(AVCodecContext *c, int on);
int rave_decoder_reorder(const AVCodecContext *c);

// A scaler between two pictures of known colour. Returns NULL when swscale refuses.
struct SwsContext *rave_sws_new(int sw, int sh, int sfmt, int srange, int smatrix, int dw, int dh, int dfmt, int drange,
                                int dmatrix, int flags, int threads);
// One 8-bit plane to another, with the context of two gray8 pictures.
int rave_sws_plane(struct SwsContext *c, const uint8_t *src, int sstride, int sh, uint8_t *dst, int dstride);
// Between a frame and three planes of equal stride in memory of the caller's (planar RGB: G, B, R).
int rave_sws_frame_to_planes(struct SwsContext *c, const AVFrame *src, uint8_t *d0, uint8_t *d1, uint8_t *d2, int dstride);
int rave_sws_planes_to_frame(struct SwsContext *c, const uint8_t *s0, const uint8_t *s1, const uint8_t *s2, int sstride, int sh,
                             AVFrame *dst);
int rave_sws_frame(struct SwsContext *c, AVFrame *dst, const AVFrame *src);

#endif
