# shellcheck shell=bash
# Whether a tool is here, by using it as the one that needs it will. Sourced.
# A name or a file on the disk says little: LLVM's runtime has a libclang-cpp and no libclang, and Python comes without pip.

# A C++ compiler that makes programs, with the C library's headers.
has_compiler() { # COMPILER
  local folder ok=''
  command -v "$1" >/dev/null || return
  folder=$(mktemp -d)
  if printf '#include <vector>\n#include <stdlib.h>\nint main() { return std::vector<int>(1)[0]; }\n' >"$folder/a.cc" &&
    "$1" -o "$folder/a" "$folder/a.cc" 2>/dev/null; then ok=yes; fi
  rm -rf "$folder"
  [[ $ok ]]
}

# A tool that tells its version.
runs() { # COMMAND
  command -v "$1" >/dev/null && "$1" --version >/dev/null 2>&1
}

# A Python that makes virtual environments with pip in them.
has_venv() {
  local folder ok=''
  # -S -E: without the site packages this takes 20 ms
  python3 -S -E -c 'import ensurepip, venv, ssl, ctypes' 2>/dev/null || return
  folder=$(mktemp -d)
  if python3 -m venv "$folder/venv" >/dev/null 2>&1 && "$folder/venv/bin/python" -m pip --version >/dev/null 2>&1; then ok=yes; fi
  rm -rf "$folder"
  [[ $ok ]]
}

# OpenSSL as the crate openssl-sys finds it.
has_openssl() {
  if [[ ${OPENSSL_DIR:-} ]]; then
    [[ -e $OPENSSL_DIR/include/openssl/ssl.h ]]
  else
    command -v pkg-config >/dev/null && pkg-config --exists openssl
  fi
}

# Whether a libclang reads a header that includes one of the compiler's own: those lie in a package of their own.
parses_headers() { # LIBRARY
  python3 -S -E - "$1" 2>/dev/null <<'PYTHON'
import ctypes, sys, tempfile

lib = ctypes.CDLL(sys.argv[1])
pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint
lib.clang_createIndex.restype = pointer
lib.clang_parseTranslationUnit.restype = pointer
lib.clang_parseTranslationUnit.argtypes = [pointer, text, pointer, ctypes.c_int, pointer, number, number]
lib.clang_getNumDiagnostics.argtypes = [pointer]
with tempfile.NamedTemporaryFile(suffix=".h") as header:
    header.write(b"#include <stdarg.h>\n#include <stdint.h>\n")
    header.flush()
    index = lib.clang_createIndex(0, 0)
    unit = lib.clang_parseTranslationUnit(index, header.name.encode(), None, 0, None, 0, 0)
    sys.exit(0 if unit and lib.clang_getNumDiagnostics(unit) == 0 else 1)
PYTHON
}

# The libclang that bindgen loads: the places and names of the crate clang-sys (build/common.rs, build/dynamic.rs), and it must read a
# header.
has_libclang() {
  local folder file folders=() prefix
  shopt -s nullglob
  if [[ ${LIBCLANG_PATH:-} ]]; then
    if [[ -f $LIBCLANG_PATH ]]; then folders=("${LIBCLANG_PATH%/*}"); else folders=("$LIBCLANG_PATH"); fi
  else
    if prefix=$("${LLVM_CONFIG_PATH:-llvm-config}" --prefix 2>/dev/null); then folders+=("$prefix"/{bin,lib,lib64}); fi
    IFS=: read -r -a folder <<<"${LD_LIBRARY_PATH:-}:${LIBRARY_PATH:-}"
    folders+=("${folder[@]}")
    folders+=(/usr/local/llvm*/lib* /usr/local/lib*/*/* /usr/local/lib*/* /usr/local/lib* /usr/lib*/*/* /usr/lib*/* /usr/lib*)
  fi
  for folder in "${folders[@]}"; do
    [[ $folder ]] || continue
    for file in "$folder"/libclang.so "$folder"/libclang-*.so "$folder"/libclang.so.* "$folder"/libclang-*.so.*; do
      # libclang-cpp is another library, whatever its name begins with.
      [[ ${file##*/} != *-cpp.* ]] || continue
      if parses_headers "$file"; then
        shopt -u nullglob
        return
      fi
    done
  done
  shopt -u nullglob
  return 1
}
