# shellcheck shell=bash
# Numbered steps with their time, for scripts that take minutes. Sourced; everything goes to stderr.
#
#   steps 3              how many there will be
#   step "Compile"       ends the step before it and starts the next
#   logged LOG CMD...    run CMD into LOG; on a terminal its newest [n/m] in one rewriting line, otherwise a line every 20 s
#   steps_done           ends the last step

progress_total=0 progress_number=0 progress_name='' progress_started=0 progress_begun=$SECONDS
progress_every=20
if [[ -t 2 ]]; then progress_tty=yes; else progress_tty=; fi

clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

# A line that the next one overwrites, on a terminal only.
progress_line() {
  if [[ $progress_tty ]]; then printf '\r\033[K%s' "$1" >&2; fi
}

progress_label() { printf '[%d/%d] %s' "$progress_number" "$progress_total" "$progress_name"; }

steps() { progress_total=$1 progress_number=0 progress_begun=$SECONDS; }

step_end() {
  [[ $progress_name ]] || return 0
  local took=$((SECONDS - progress_started))
  if [[ $progress_tty ]]; then
    progress_line "$(progress_label)  $(clock "$took")"
    printf '\n' >&2
  elif ((took >= progress_every)); then
    printf '      done in %s\n' "$(clock "$took")" >&2
  fi
  progress_name=''
}

step() {
  step_end
  progress_number=$((progress_number + 1)) progress_name=$1 progress_started=$SECONDS
  if [[ $progress_tty ]]; then progress_line "$(progress_label)"; else printf '%s\n' "$(progress_label)" >&2; fi
}

steps_done() {
  step_end
  printf 'done in %s\n' "$(clock $((SECONDS - progress_begun)))" >&2
}

# Reads the output of a command, writes it to a log and shows how far it is.
progress_watch() {
  local log=$1 line='' part='' count='' shown=$SECONDS status
  : >"$log"
  while true; do
    status=0
    IFS= read -r -t 2 part || status=$?
    line+=$part
    if ((status == 0)); then
      printf '%s\n' "$line" >>"$log"
      if [[ $line =~ ^\[([0-9]+/[0-9]+)\] ]]; then count="  ${BASH_REMATCH[1]}"; fi
      line=''
    elif ((status <= 128)); then # end of file; above 128 the read timed out
      if [[ $line ]]; then printf '%s\n' "$line" >>"$log"; fi
      return
    fi
    progress_line "$(progress_label)$count  $(clock $((SECONDS - progress_started)))"
    if [[ ! $progress_tty ]] && ((SECONDS - shown >= progress_every)); then
      printf '     %s after %s\n' "${count:-  running}" "$(clock $((SECONDS - progress_started)))" >&2
      shown=$SECONDS
    fi
  done
}

logged() {
  local log=$1 status=0
  shift
  { "$@" 2>&1 </dev/null | progress_watch "$log"; } || status=$?
  if ((status != 0)); then
    {
      printf '\n--- the last lines of %s\n' "$log"
      tail -n 30 "$log"
      printf -- '---\n%s failed (exit status %d).\n' "$progress_name" "$status"
    } >&2
    return "$status"
  fi
}
