#!/usr/bin/env bash
# Packs .build/dist/rave-VERSION-linux-amd64.tar.gz and SHA256SUMS: the same commit gives the same bytes.
#
# usage: scripts/dist.sh VERSION
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. .build/env.sh

version=${1:?usage: scripts/dist.sh VERSION}
name=rave-$version-linux-amd64
stage=.build/dist/$name
rm -rf .build/dist; mkdir -p "$stage/lib" "$stage/licenses"

say "compiling rave $version"
go build -trimpath -ldflags "-s -w -X main.version=$version" -o "$stage/rave" ./cmd/rave

say "collecting files and licenses"
licenses=$stage/licenses
ort=$(cd .build/lib && echo libonnxruntime.so.*)
cp ".build/lib/$ort" "$stage/lib/"; ln -s "$ort" "$stage/lib/libonnxruntime.so"
cp LICENSE deploy/rave.service "$stage/"
cp README.md CHANGELOG.md rave.example.yaml "$stage/"
cp -r docs "$stage/docs"
cp --parents engine/model/train/README.md deploy/rave.service ingest/testsrc/clips/ATTRIBUTION.md "$stage/" # README points there
cp --parents scripts/setup_gpu.sh scripts/lib.sh "$stage/"
cp ingest/testsrc/clips/ATTRIBUTION.md "$licenses/demo-clips.md"
cp ingest/testsrc/clips/LICENSE.* "$licenses/"

ffmpeg=$(dirname "$(dirname "$PKG_CONFIG_PATH")")
cp "$ffmpeg/COPYRIGHT" "$licenses/ffmpeg"
cp .build/lib/onnxruntime-LICENSE "$licenses/onnxruntime"
cp .build/lib/onnxruntime-ThirdPartyNotices.txt "$licenses/onnxruntime-third-party"
cp /usr/share/common-licenses/{GPL-2,GPL-3,LGPL-2.1} "$licenses/"
cp "$(go env GOROOT)/LICENSE" "$licenses/go" 2>/dev/null || true
{
  echo "What $name is made of. License texts are in the files beside this one."
  echo "For the GPL's and LGPL's sake: the complete source of each part is Debian's source package of that version."
  echo
  echo "ffmpeg $(cat "$ffmpeg/VERSION") (Debian source package ffmpeg; configured by scripts/ffmpeg.sh)"
  for archive in "$ffmpeg"/archives/*.a; do
    package=$(dpkg-query -S "$(realpath "$(gcc -print-file-name="$(basename "$archive")")")" | cut -d : -f 1)
    dpkg-query -W -f "$(basename "$archive" .a) \${Version} (Debian source package \${source:Package} \${source:Version})\n" "$package"
    cp "/usr/share/doc/$package/copyright" "$licenses/$(basename "$archive" .a)"
  done
  echo "onnxruntime ${ort#libonnxruntime.so.} (shared library, unmodified, MIT)"
  echo "go $(go env GOVERSION) (BSD)"
  go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/rave | sort -u | while read -r module revision directory; do
    echo "$module $revision"
    for text in "$directory"/LICENSE* "$directory"/COPYING* "$directory"/NOTICE*; do
      [ ! -f "$text" ] || install -m 644 "$text" "$licenses/${module//\//_}-$(basename "$text")"
    done
  done
} >"$licenses/CONTENTS.txt"
find "$stage" -type f -exec chmod u=rw,go=r {} +; chmod 755 "$stage/rave" "$stage/scripts/setup_gpu.sh"

say "packing"
tar -C .build/dist --sort=name --mtime="@$(git log -1 --format=%ct)" --owner=0 --group=0 --numeric-owner --format=gnu -cf - "$name" | gzip -n -9 >".build/dist/$name.tar.gz"
(cd .build/dist && sha256sum "$name.tar.gz" >SHA256SUMS && cat SHA256SUMS)
rm -rf "$stage"
ls -l ".build/dist/$name.tar.gz"
