# shellcheck shell=bash
# Where Debian's files can be had from this machine. Sourced.

# The URI of every package source that apt is configured with, one a line; both formats apt reads.
apt_uris() {
  local file
  for file in /etc/apt/sources.list.d/*.sources; do
    [[ -r $file ]] || continue
    # A stanza ends at an empty line; "Enabled: no" switches it off, wherever in the stanza it stands.
    awk 'function flush() { if (uris != "" && !off) print uris; uris = ""; off = 0; key = "" }
         /^[[:space:]]*#/ { next }
         /^[[:space:]]*$/ { flush(); next }
         /^[^[:space:]]/ { key = tolower($1); $1 = "" }
         key == "uris:" { uris = uris " " $0 }
         key == "enabled:" && tolower($0) ~ /no/ { off = 1 }
         END { flush() }' "$file"
  done | xargs -r -n 1
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [[ -r $file ]] || continue
    sed -nE 's/^[[:space:]]*deb(-src)?[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]+).*/\3/p' "$file"
  done
}

# debian_mirrors NAME: the mirrors whose path ends in NAME ("debian", "debian-security"), without doubles, in apt's order.
# DEBIAN_MIRROR goes before them all.
debian_mirrors() {
  local uri
  {
    if [[ ${DEBIAN_MIRROR:-} && $1 == debian ]]; then printf '%s\n' "$DEBIAN_MIRROR"; fi
    apt_uris | while IFS= read -r uri; do
      if [[ $uri == mirror+file:* && -r ${uri#mirror+file:} ]]; then
        awk '!/^#/ && NF { print $1 }' "${uri#mirror+file:}"
      else
        printf '%s\n' "$uri"
      fi
    done | grep -E "^https?://.*/$1/?$" || true
  } | sed 's,/*$,,' | awk '!seen[$0]++'
}

# apt's own proxy, for curl, unless the environment already names one.
use_apt_proxy() {
  local proxy
  if [[ ! ${http_proxy:-} && ! ${HTTP_PROXY:-} ]] && command -v apt-config >/dev/null; then
    proxy=$(apt-config dump --format '%v%n' Acquire::http::Proxy 2>/dev/null | head -n 1)
    if [[ $proxy && $proxy != DIRECT ]]; then export http_proxy=$proxy; fi
  fi
}
