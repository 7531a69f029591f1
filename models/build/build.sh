#!/bin/sh
# Makes the models and, given the development pictures, measures them. See README.md.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${RECOCOMP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/recocomp}
venv=$cache/models-venv
packages=$cache/models-packages
out=$cache/models-out
lfw= wider= noface= install= twice= measure=yes

usage() {
    echo "usage: build.sh [--lfw DIR --wider DIR [--noface DIR]] [--out DIR] [--install] [--twice] [--no-measure]" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    --install) install=--install; shift; continue ;;
    --twice) twice=yes; shift; continue ;;
    --no-measure) measure=; shift; continue ;;
    --lfw | --wider | --noface | --out) [ $# -ge 2 ] || usage ;;
    *) usage ;;
    esac
    case $1 in
    --lfw) lfw=$2 ;;
    --wider) wider=$2 ;;
    --noface) noface=$2 ;;
    --out) out=$2 ;;
    esac
    shift 2
done

# The stamp is written last: an interrupted installation is done again.
if ! cmp -s "$here/requirements.txt" "$venv/installed"; then
    echo "installing the pinned Python packages into $venv" >&2
    "${PYTHON:-python3}" -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$here/requirements.txt" >&2
    cp "$here/requirements.txt" "$venv/installed"
fi

export PYTHONDONTWRITEBYTECODE=1
export TF_CPP_MIN_LOG_LEVEL=3
python=$venv/bin/python

make_models() {
    "$python" "$here/make_models.py" --packages "$packages" ${lfw:+--lfw "$lfw"} ${wider:+--wider "$wider"} "$@"
}

if [ -n "$twice" ]; then
    make_models --out "$out.again" >/dev/null || true
fi
make_models --out "$out" $install
if [ -n "$twice" ]; then
    diff -r "$out" "$out.again"
    echo "a second build gave the same bytes"
fi

[ -n "$measure" ] || exit 0
"$python" "$here/measure_conversion.py" --packages "$packages" --models "$out" ${lfw:+--lfw "$lfw"}
if [ -n "$lfw" ] && [ -n "$wider" ]; then
    "$python" "$here/measure_detector.py" --packages "$packages" --detector "$out/detector.tflite" \
        --lfw "$lfw" --wider "$wider" ${noface:+--noface "$noface"}
    "$python" "$here/calibrate.py" --packages "$packages" --models "$out" --lfw "$lfw"
fi
