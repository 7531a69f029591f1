# shellcheck shell=bash
# Gets the sources of the runtime. Sourced by build.sh, after lib/progress.sh and lib/debian.sh.
#
#   fetch_all SOURCES_TXT SHA256SUMS DOWNLOADS
#
# A file is looked for in DOWNLOADS, in $TFLITE_SOURCES (a folder filled by hand), and then on the network. Every one is
# checked. What cannot be had is listed, all of it, with the ways out.

fetch_missing=()

fetch_note() { fetch_missing+=("$1"); }

# The sha256 that SHA256SUMS names for a file.
expected_sum() { awk -v name="$2" '$2 == name { print $1 }' "$1"; }

found_sum() { sha256sum "$1" | cut -d ' ' -f 1; }

# From Debian's pool, mirror by mirror. Leaves the file in $3; fails with a note why.
fetch_pool() {
  local path=$1 expected=$2 to=$3 mirror code gone='' failed='' found
  for mirror in "${fetch_mirrors[@]}"; do
    code=$(curl -sSL --retry 4 --retry-delay 2 --retry-connrefused --connect-timeout 20 --speed-limit 1000 --speed-time 60 \
      -o "$to.part" -w '%{http_code}' "$mirror/pool/$path" 2>"$to.error") || code=${code:-000}
    if [[ $code == 200 && ! -s $to.error ]]; then
      found=$(found_sum "$to.part")
      if [[ $found == "$expected" ]]; then
        rm -f "$to.error"
        mv "$to.part" "$to"
        return
      fi
      failed+="; $mirror sends a file with another checksum: expected $expected, found $found"
    elif [[ $code == 404 ]]; then
      gone+=" $mirror"
    else
      failed+="; $mirror: $(tail -n 1 "$to.error" 2>/dev/null | grep . || echo "answer $code")"
    fi
    rm -f "$to.part" "$to.error"
  done
  if [[ $gone ]]; then failed="; it has vanished from the pool of$gone (answer 404): Debian has moved on from this version$failed"; fi
  fetch_note "$(basename "$path")${failed:-"; apt on this machine names no Debian mirror to get it from"}"
  return 1
}

# From the crate registry that cargo is set up with. `cargo info` gets this one crate and nothing it depends on.
fetch_crate() {
  local crate=$1 version=$2 expected=$3 to=$4 cached found error
  # A folder of its own: a Cargo.toml or .cargo/config.toml above would have its say.
  mkdir -p "$to.cargo"
  if ! error=$(cd "$to.cargo" && cargo info --quiet --color never "$crate@$version" 2>&1 >/dev/null); then
    rmdir "$to.cargo"
    fetch_note "$(basename "$to"); cargo: $(printf '%s' "$error" | grep -m 1 . || echo failed)"
    return 1
  fi
  rmdir "$to.cargo"
  for cached in "${CARGO_HOME:-$HOME/.cargo}"/registry/cache/*/"$crate-$version.crate"; do
    [[ -s $cached ]] || continue
    found=$(found_sum "$cached")
    if [[ $found == "$expected" ]]; then
      cp "$cached" "$to.part" && mv "$to.part" "$to"
      return
    fi
    fetch_note "$(basename "$to"); $cached has another checksum: expected $expected, found $found"
    return 1
  done
  fetch_note "$(basename "$to"); cargo says it has the crate, but it is not in ${CARGO_HOME:-$HOME/.cargo}/registry/cache"
  return 1
}

fetch_one() {
  local origin=$1 name=$2 expected=$3 to=$4 found
  if [[ -s $to ]]; then
    if [[ $(found_sum "$to") == "$expected" ]]; then return; fi
    rm -f "$to"
  fi
  if [[ ${TFLITE_SOURCES:-} && -e $TFLITE_SOURCES/$name ]]; then
    found=$(found_sum "$TFLITE_SOURCES/$name")
    if [[ $found != "$expected" ]]; then
      fetch_note "$name; $TFLITE_SOURCES/$name is not the right file: expected sha256 $expected, found $found"
      return 1
    fi
    cp "$TFLITE_SOURCES/$name" "$to.part" && mv "$to.part" "$to"
    return
  fi
  progress_line "$(progress_label)  $name"
  case $origin in
    pool:*) fetch_pool "${origin#pool:}" "$expected" "$to" ;;
    crate:*/*)
      origin=${origin#crate:}
      fetch_crate "${origin%/*}" "${origin#*/}" "$expected" "$to"
      ;;
  esac
}

# The name of the file that an ORIGIN of sources.txt stands for.
origin_file() {
  case $1 in
    pool:*) basename "$1" ;;
    crate:*/*)
      local crate=${1#crate:}
      printf '%s-%s.crate\n' "${crate%/*}" "${crate#*/}"
      ;;
  esac
}

fetch_all() {
  local list=$1 sums=$2 downloads=$3 folder origin name expected line
  mkdir -p "$downloads"
  use_apt_proxy
  mapfile -t fetch_mirrors < <(debian_mirrors debian)
  while read -r folder _ origin _; do
    [[ $folder && $folder != \#* ]] || continue
    name=$(origin_file "$origin")
    expected=$(expected_sum "$sums" "$name")
    if [[ ! $expected ]]; then
      fetch_note "$name; SHA256SUMS has no checksum for it"
      continue
    fi
    fetch_one "$origin" "$name" "$expected" "$downloads/$name" || true
  done <"$list"
  if ((${#fetch_missing[@]} == 0)); then return; fi
  {
    printf '\nThese sources of the runtime cannot be had:\n'
    for line in "${fetch_missing[@]}"; do
      printf '  %s\n' "${line//; /$'\n      '}"
      expected=$(expected_sum "$sums" "${line%%;*}")
      [[ $line == *"$expected"* ]] || printf '      sha256 %s\n' "$expected"
    done
    printf '%s\n' '' 'Ways out:' \
      '  - try again, if it was the network: what has arrived is kept' \
      '  - DEBIAN_MIRROR=URI of another mirror, or of a snapshot archive of Debian, which keeps every version' \
      '  - TFLITE_SOURCES=DIR of a folder with these files, from another machine or a backup' \
      "    (a machine that has built the runtime keeps them in $downloads)"
  } >&2
  return 1
}
