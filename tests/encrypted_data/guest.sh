#!/bin/bash
# guest.sh: what happens inside the virtual machine after each start. Runs the blocks of the guide (/test/blocks) and looks at what came of them.
# shellcheck disable=SC2016  # what is in single quotes is for another shell
# What it prints goes to the second serial line, where run.sh reads it.
set -euo pipefail

read -r cmdline </proc/cmdline
stage=${cmdline##*recocomp.stage=} stage=${stage%% *}
part=${cmdline##*recocomp.part=}
export part=${part%% *} stick=/dev/vdc
recovery='correct horse battery staple orchid lamp'
api=http://127.0.0.1:8080/api/v1/engine/recocomp
patience=240 # tries, a second apart; not by the clock, which leaps when the virtual machine is held up

say() { printf '%s\n' "$*"; }
fail() {
  say "FAILED: $*"
  ls -l /dev/disk/by-label /etc/crypttab
  cat /etc/crypttab
  journalctl -b --no-pager 2>/dev/null | tail -n 60
  systemctl --no-pager --full status recocomp systemd-cryptsetup@recodata var-lib-recocomp.mount 2>&1 | tail -n 40
  exit 1
}
leave() { # the end of the script, whatever the reason
  local status=$?
  if ((status == 0)); then say "passed: $stage"; else say "FAILED: $stage ends with $status"; fi
  sync
  systemctl --no-block poweroff 2>/dev/null
}
trap leave EXIT

block() { # NAME: runs this block of the guide; passphrases come from stdin
  say "guide: $1"
  bash -euo pipefail "/test/blocks/$1.sh" 2>&1 | sed 's/^/    /'
}
until_true() { # WHAT COMMAND...
  local what=$1 tries=0
  shift
  until "$@"; do
    if ((++tries > patience)); then fail "waited in vain: $what"; fi
    sleep 1
  done
  say "ok: $what"
}
expect() { # WHAT COMMAND...
  local what=$1
  shift
  "$@" || fail "$what"
  say "ok: $what"
}
answers() { curl -sf --max-time 30 "$api/version" >/dev/null; }
ask() { curl -s --max-time 60 "$api$1" --data-binary @-; }
knows() { # COLLECTION FEATURES
  [[ $(printf '{"collection_name": ["%s"]}' "$1" | ask /collection/status) == *'"collection_name":"'"$1"'",'*'"feature_num":'"$2"[,\}]* ]]
}
holds_the_person() { grep -raqF "$(</test/marker)" /var/lib/recocomp/gallery; }
on_the_mapped_device() { [[ $(findmnt -no SOURCE /var/lib/recocomp) == /dev/mapper/recodata ]]; }
serves_from_the_partition() {
  until_true 'the daemon answers' answers
  expect 'its data is on /dev/mapper/recodata' on_the_mapped_device
  expect 'the folder is private' test "$(stat -c %a /var/lib/recocomp)" = 700
  expect 'it knows the enrolled face' knows staff 1
  expect 'which lies in plain on the opened partition' holds_the_person
}
question() { compgen -G '/run/systemd/ask-password/ask.*'; } # each question is a file with a name of its own
asked_for_a_passphrase() { question >/dev/null; }
asked_another_time() { asked_for_a_passphrase && [[ $(question) != "$first_question" ]]; }
nothing_asked() { ! asked_for_a_passphrase; }
answer_with() { # PASSPHRASE: as someone at a terminal
  { sleep 3; printf '%s\n' "$1"; sleep 3; } | script -qec 'bash /test/blocks/answer.sh' /dev/null >/dev/null || true
}
waits_closed() {
  until_true 'a passphrase is asked for' asked_for_a_passphrase
  expect 'the daemon does not run' bash -c '! systemctl is-active --quiet recocomp'
  expect 'nothing is mounted' bash -c '! findmnt /var/lib/recocomp'
  expect 'the folder below is empty' test -z "$(ls -A /var/lib/recocomp)"
}

stage_install() { # a device in use gets its encrypted partition
  until_true 'the daemon answers, unencrypted' answers
  expect 'it knows the enrolled face' knows staff 1
  case $part in /dev/*) ;; *) fallocate --length 64M "$part" ;; esac
  block cipher
  printf '%s\n' "$recovery" "$recovery" | block format
  block move
  block boot
  serves_from_the_partition
  printf '{"collection_name": "visitors"}' | ask /create/collection >/dev/null
  expect 'it makes a collection' knows visitors 0
  block check
}
stage_passphrase() { # a start with nothing but someone at a terminal
  waits_closed
  say 'a wrong passphrase'
  expect 'cryptsetup refuses it' bash -c '! printf wrong | cryptsetup open --test-passphrase "$part" 2>/dev/null'
  first_question=$(question)
  answer_with wrong
  until_true 'and so does the start: it is asked again' asked_another_time
  expect 'nothing is mounted' bash -c '! findmnt /var/lib/recocomp'
  say 'the right passphrase'
  answer_with "$recovery"
  serves_from_the_partition
  printf '%s\n' "$recovery" | block stick
  # Where qemu translates, udev alone takes longer to see the stick than the guide gives it.
  sed -i 's/keyfile-timeout=30s/keyfile-timeout=120s/' /etc/crypttab
  block header
  expect 'the backup of the header opens' \
    bash -c 'printf "%s" "$2" | cryptsetup open --test-passphrase --header /root/recodata.header "$1"' - "$part" "$recovery"
}
stage_stick() { # a start with the stick, nobody there
  serves_from_the_partition
  expect 'it knows the collection made since' knows visitors 0
  expect 'nobody was asked' nothing_asked
}
stage_remove() { # a start without the stick; then back to plain
  waits_closed
  answer_with "$recovery"
  serves_from_the_partition
  block remove
  until_true 'the daemon answers, unencrypted' answers
  expect 'it knows the enrolled face' knows staff 1
  expect 'it knows the collection made since' knows visitors 0
  expect 'the folder is private' test "$(stat -c %a /var/lib/recocomp)" = 700
  expect 'nothing opens the partition' bash -c '! printf "%s" "$2" | cryptsetup open --test-passphrase "$1" 2>/dev/null' - "$part" "$recovery"
  expect 'no line is left' bash -c '! grep -s recodata /etc/crypttab /etc/fstab'
}

"stage_$stage"
