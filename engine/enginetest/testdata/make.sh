#!/bin/sh
# Makes the small elementary streams that the conformance suite decodes: what cameras send, each of 30 pictures.
# usage: make.sh FFMPEG CLIP     (FFMPEG: version 9 with libx264 and libx265; CLIP: any video of at least 2 s)
set -eu
ffmpeg=$1 clip=$2
make() { # NAME SIZE PIXEL-FORMAT ENCODER-OPTIONS…
  name=$1 size=$2 pix=$3
  shift 3
  "$ffmpeg" -v error -y -t 4 -i "$clip" -vf "fps=25,scale=$size:flags=area,format=$pix${filter:+,$filter}" -frames:v 30 -an \
    -fflags +bitexact -flags:v +bitexact "$@" "$name"
  filter=
}
filter=
x264="-c:v libx264 -preset slow -crf 28 -g 10 -bsf:v h264_metadata=aud=insert"
x265="-c:v libx265 -preset medium -crf 28 -x265-params log-level=error:keyint=10:aud=1:repeat-headers=1:info=0"
make h264.h264 160:96 yuv420p $x264 -bf 0
make h264-baseline.h264 160:96 yuv420p $x264 -profile:v baseline
make h264-odd.h264 162:90 yuv420p $x264 -bf 0
make h264-10bit.h264 160:96 yuv420p10le $x264 -bf 0
make h264-422.h264 160:96 yuv422p $x264 -bf 0
make h264-gray.h264 160:96 gray $x264 -bf 0
filter=setparams=range=pc make h264-full-range.h264 160:96 yuvj420p $x264 -bf 0
filter=setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709 \
  make h264-bt709.h264 160:96 yuv420p $x264 -bf 0 -colorspace bt709 -color_primaries bt709 -color_trc bt709
filter=interlace=scan=tff make h264-interlaced.h264 160:96 yuv420p $x264 -bf 0 -flags:v +bitexact+ildct+ilme -x264-params tff=1:keyint=10
filter=interlace=scan=tff make h264-interlaced-422.h264 160:96 yuv422p $x264 -bf 0 -flags:v +bitexact+ildct+ilme -x264-params tff=1:keyint=10
"$ffmpeg" -v error -y -f lavfi -i color=s=8320x4672 -frames:v 1 -fflags +bitexact -flags:v +bitexact $x264 h264-huge.h264
# Several slices in a picture; and, instead of keyframes, a column of intra-coded blocks that wanders over the picture in 9 pictures.
make h264-slices.h264 160:96 yuv420p $x264 -bf 0 -slices 4
make h264-refresh.h264 160:96 yuv420p $x264 -bf 0 -x264-params intra-refresh=1:keyint=10
make h265.h265 160:96 yuv420p $x265:bframes=0
make h265-odd.h265 168:88 yuv420p $x265:bframes=0
filter=setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709 \
  make h265-bt709.h265 160:96 yuv420p $x265:bframes=0 -colorspace bt709 -color_primaries bt709 -color_trc bt709
make h265-10bit.h265 160:96 yuv420p10le $x265:bframes=0
make mjpeg-420.mjpeg 160:96 yuvj420p -c:v mjpeg -q:v 8
make mjpeg-422.mjpeg 160:96 yuvj422p -c:v mjpeg -q:v 8

# With B-frames presentation is not in the order of the stream: the presentation times, in units of 1/25 s, lie beside it.
bframes() { # NAME BITSTREAM-FILTER ENCODER-OPTIONS…
  stream=$1 bsf=$2
  shift 2
  make tmp.mp4 160:96 yuv420p "$@" -video_track_timescale 25
  "$ffmpeg" -v error -y -i tmp.mp4 -c copy -bsf:v "$bsf" "$stream"
  "$ffmpeg" -v error -i tmp.mp4 -c copy -f framecrc - | awk -F, '!/^#/ { print $3 + 0 }' >"$stream.pts"
  rm tmp.mp4
}
bframes h264-bframes.h264 h264_mp4toannexb,h264_metadata=aud=insert -c:v libx264 -preset slow -crf 28 -g 10 -bf 3
bframes h265-bframes.h265 hevc_mp4toannexb,hevc_metadata=aud=insert -c:v libx265 -preset medium -crf 28 -tag:v hvc1 \
  -x265-params log-level=error:keyint=10:bframes=3:info=0
