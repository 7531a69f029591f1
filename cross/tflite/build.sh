#!/bin/bash
# build.sh ARCH: the TensorFlow Lite runtime for x86_64, aarch64 or armv7, as one static archive that the crate tflitec links.
#
# Prints the folder of the finished runtime on stdout, at once if it is already there. In it:
#   libtflite.a               everything: TensorFlow Lite, op table, XNNPACK delegate, XNNPACK, ruy, cpuinfo, pthreadpool
#   libtensorflowlite_c.so    a linker script under the name that tflitec links
#   include/                  headers for tflitec's bindgen
#
# The folder is CACHE/tflite/KEY/ARCH. KEY covers all that determines the result, so a changed recipe or compiler gives a new
# folder, and an old one stays usable. An interrupted or failed build goes on where it was.
#
#   RECOCOMP_CACHE    the cache                           (default: $XDG_CACHE_HOME/recocomp, ~/.cache/recocomp)
#   JOBS              compilers at a time                 (default: one a processor, as far as memory goes)
#   DEBIAN_MIRROR     where to look for the sources first (default: what apt is set up with)
#   TFLITE_SOURCES    a folder with sources, used before the network
#   KEEP_WORK=1       keep sources and objects, so that the next change of the recipe compiles only what it touches
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=cross/lib/progress.sh
. "$here/../lib/progress.sh"
# shellcheck source=cross/lib/debian.sh
. "$here/../lib/debian.sh"
# shellcheck source=cross/tflite/fetch.sh
. "$here/fetch.sh"

die() {
  printf '%s\n' "$@" >&2
  exit 1
}

arch=${1:-}
case $arch in
  x86_64) prefix='' target_flags='' ;;
  aarch64) prefix=aarch64-linux-gnu- target_flags='' ;;
  armv7) prefix=arm-linux-gnueabihf- target_flags='-march=armv7-a -mfpu=neon-vfpv4 -mfp16-format=ieee' ;;
  *) die "usage: $(basename "$0") x86_64|aarch64|armv7" ;;
esac
if [[ $arch == x86_64 && $(uname -m) != x86_64 ]]; then die "the x86_64 runtime can be built on an x86-64 machine only"; fi
# On a board of the same kind its own compiler does.
if [[ $prefix && $(uname -m) == "$arch"* ]]; then prefix=''; fi
cc=${prefix}gcc cxx=${prefix}g++ ar=${prefix}ar ranlib=${prefix}ranlib

setup_hint="run cross/setup.sh ${prefix:+$arch }to install what is missing"
command -v "$cxx" >/dev/null || die "$cxx is not installed: $setup_hint"

cache=${RECOCOMP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/recocomp}/tflite
recipe=(build.sh sources.txt SHA256SUMS CMakeLists.txt objects.txt op_resolver.cc logging.cc sharing.cc flatten_headers.py check.c)
if [[ $prefix ]]; then recipe+=("$arch.cmake"); fi
# fetch.sh and progress.sh are left out: whatever they do, the checksums say what is compiled.
key=$({ cd "$here" && sha256sum "${recipe[@]}" && "$cxx" --version && "$cxx" -print-file-name=libstdc++.a; } |
  sha256sum | cut -c 1-16)
result=$cache/$key/$arch

finished() { [[ -s $result/libtflite.a && -s $result/libtensorflowlite_c.so ]]; }

if finished; then
  printf '%s\n' "$result"
  exit
fi

# --- from here on it takes minutes

for tool in cmake ninja python3 curl xz bzip2 cargo flock; do
  command -v $tool >/dev/null || die "$tool is not installed: $setup_hint"
done

mkdir -p "$cache"
exec 9>"$cache/lock"
if ! flock --nonblock 9; then
  printf 'another build of the runtime is running; waiting for it\n' >&2
  flock 9
  if finished; then
    printf '%s\n' "$result"
    exit
  fi
fi

if [[ $arch == armv7 ]]; then
  printf '%s\n' 'armv7 is prepared, not supported: it has been configured and compiled in part, no program has been linked with it.' >&2
fi
free_kb=$(df -Pk "$cache" | awk 'NR == 2 { print $4 }')
if ((free_kb < 1500000)); then die "the build needs 1.5 GB in $cache, there are $((free_kb / 1000)) MB: free some or set RECOCOMP_CACHE"; fi

# A compiler takes up to 1.2 GB here.
jobs=${JOBS:-$(nproc)}
if [[ ! ${JOBS:-} ]]; then
  by_memory=$(awk '/^MemTotal/ { print int($2 / 1200000) }' /proc/meminfo)
  if ((by_memory < jobs)); then jobs=$((by_memory > 1 ? by_memory : 1)); fi
fi

# What the recipe compiles may change under a work folder, ninja sees to that; its sources and its compiler may not.
work_key=$({ cd "$here" && sha256sum sources.txt SHA256SUMS && "$cxx" --version; } | sha256sum | cut -c 1-8)
work=$cache/work/$arch-$work_key
sources=$work/sources
build=$work/build
logs=$work/logs
mkdir -p "$sources" "$logs"

trap 'printf "\ninterrupted; the next run goes on from here\n" >&2; exit 130' INT TERM

failed() {
  die "All logs are in $logs." "$@"
}

printf 'building the %s runtime (TensorFlow Lite + XNNPACK), %s jobs; about 7 minutes on two processors, once\n' "$arch" "$jobs" >&2
steps 6

step 'Get the sources (60 MB)'
fetch_all "$here/sources.txt" "$here/SHA256SUMS" "$cache/downloads" || exit 1

step 'Unpack'
unpack() {
  local folder=$1 top=$2 file=$3 into=$sources/$1 pick=()
  [[ ! -d $into ]] || return 0
  case $top in
    .) ;;
    '*') pick=(--strip-components=1) ;;
    *)
      local slashes=${top//[!\/]/}
      pick=(--strip-components=$((${#slashes} + 1)) "$top")
      ;;
  esac
  rm -rf "$into.part" &&
    mkdir "$into.part" &&
    tar --extract --no-same-owner --file "$file" --directory "$into.part" "${pick[@]}" &&
    mv "$into.part" "$into"
}
while read -r folder top origin _; do
  [[ $folder && $folder != \#* ]] || continue
  progress_line "$(progress_label)  $folder"
  unpack "$folder" "$top" "$cache/downloads/$(origin_file "$origin")" ||
    failed "$(origin_file "$origin") cannot be unpacked. Is the disk full?"
done <"$here/sources.txt"

step 'Configure'
flags="$target_flags -w -ffunction-sections -fdata-sections -ffile-prefix-map=$sources=. -ffile-prefix-map=$here=runtime"
toolchain=()
if [[ $prefix ]]; then toolchain=("-DCMAKE_TOOLCHAIN_FILE=$here/$arch.cmake"); fi
CC=$cc CXX=$cxx ASMFLAGS='' LDFLAGS='' logged "$logs/configure" \
  cmake -G Ninja -S "$here" -B "$build" -Wno-dev -DCMAKE_BUILD_TYPE=Release "-DSOURCES=$sources" \
  "-DCMAKE_C_FLAGS=$flags" "-DCMAKE_CXX_FLAGS=$flags" "${toolchain[@]}" ||
  failed "If the log speaks of a missing tool, run cross/setup.sh. If it does not, remove $work and try again."

step 'Compile'
logged "$logs/compile" nice -n 10 ninja -C "$build" -j "$jobs" tflite ||
  failed "If a compiler was killed, memory ran out: try again with JOBS=1. What has been compiled is kept."

step 'Put the archive together'
new=$work/result
rm -rf "$new"
mkdir -p "$new/include"
merge() {
  {
    printf 'create %s\n' "$new/libtflite.a"
    find "$build" -name '*.a' | sort | sed 's/^/addlib /'
    printf 'save\nend\n'
  } | "$ar" -M &&
    "$ranlib" -D "$new/libtflite.a" &&
    python3 "$here/flatten_headers.py" "$sources/tensorflow" "$new/include"
}
# -lm and the like would not do: rustc links tflitec after -Bdynamic, and ld would take libm.so from there. Such a program links
# and then dies before main.
linker_script() {
  local library
  printf 'GROUP(%s' "$1/libtflite.a"
  for library in libstdc++.a libm.a libc.a libgcc_eh.a libgcc.a; do printf ' %s' "$("$cc" -print-file-name=$library)"; done
  printf ')\n'
}
logged "$logs/merge" merge || failed "Remove $work and try again."
linker_script "$result" >"$new/libtensorflowlite_c.so"

step 'Check'
runner=()
if [[ $prefix ]]; then runner=("qemu-${arch/armv7/arm}-static"); fi
check() {
  rm -rf "$work/check" && mkdir "$work/check" && linker_script "$new" >"$work/check/libtensorflowlite_c.so" || return
  # Linked as rustc does it, the library after -Bdynamic.
  "$cc" -static-pie -O1 "-I$new/include" "$here/check.c" -o "$work/check/check" \
    "-L$work/check" -Wl,-Bdynamic -ltensorflowlite_c -Wl,-Bstatic || return
  if [[ $prefix ]] && ! command -v "${runner[0]}"; then
    echo "not run: ${runner[0]} is not installed"
    return
  fi
  [[ $("${runner[@]}" "$work/check/check" | tee /dev/stderr) == 2.14.1 ]]
}
logged "$logs/check" check ||
  failed "An undefined reference means that objects.txt lacks the file of that symbol; see docs/design/runtime.md."

{
  printf 'TensorFlow Lite runtime for %s, built by cross/tflite/build.sh\n\n' "$arch"
  "$cxx" --version | head -n 1
  (cd "$here" && sha256sum "${recipe[@]}")
} >"$new/BUILT_FROM"
mkdir -p "$(dirname "$result")"
rm -rf "$result"
mv "$new" "$result"
steps_done
# 700 MB. We hold the lock, so nobody is at work in any of them.
if [[ ! ${KEEP_WORK:-} ]]; then rm -rf "$cache/work/$arch"-*; fi
printf '%s\n' "$result"
