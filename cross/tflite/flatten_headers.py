#!/usr/bin/env python3
"""flatten_headers.py TENSORFLOW OUT: the header tree that the crate tflitec 0.7.0 expects, from TensorFlow 2.14.1.

tflitec copies a list of headers of TensorFlow 2.19, some of which 2.14 does not have. So everything goes into c_api.h, includes
resolved, and the other files of the list are empty.
"""

import pathlib
import re
import sys

PARTS = [
    "tensorflow/lite/core/c/c_api.h",
    "tensorflow/lite/core/c/c_api_experimental.h",
    "tensorflow/lite/delegates/xnnpack/xnnpack_delegate.h",
]
EXPECTED_BY_TFLITEC = [
    "tensorflow/compiler/mlir/lite/core/c/tflite_types.h",
    "tensorflow/lite/builtin_ops.h",
    "tensorflow/lite/c/c_api.h",
    "tensorflow/lite/core/async/c/types.h",
    "tensorflow/lite/core/c/c_api.h",
    "tensorflow/lite/core/c/c_api_types.h",
    "tensorflow/lite/core/c/common.h",
    "tensorflow/lite/core/c/operator.h",
    "tensorflow/lite/delegates/xnnpack/xnnpack_delegate.h",
]
INCLUDE = re.compile(r'\s*#\s*include\s+"(tensorflow/[^"]+)"')


def flatten(tensorflow: pathlib.Path, name: str, seen: set[str]) -> str:
    if name in seen:
        return ""
    seen.add(name)
    lines = (tensorflow / name).read_text().splitlines(keepends=True)
    return "".join(flatten(tensorflow, found[1], seen) if (found := INCLUDE.match(line)) else line for line in lines)


def main(tensorflow: pathlib.Path, out: pathlib.Path) -> None:
    seen: set[str] = set()
    text = "".join(flatten(tensorflow, part, seen) for part in PARTS)
    # tflitec names this later constant; no 2.14 function takes or returns it.
    last = "kTfLiteInt4 = 18,"
    if text.count(last) != 1:
        sys.exit(f"{last!r} occurs {text.count(last)} times in TensorFlow's headers, expected once")
    text = text.replace(last, f"{last} kTfLiteBFloat16 = 19,")
    for name in EXPECTED_BY_TFLITEC:
        header = out / name
        header.parent.mkdir(parents=True, exist_ok=True)
        header.write_text(text if name == "tensorflow/lite/c/c_api.h" else "")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
