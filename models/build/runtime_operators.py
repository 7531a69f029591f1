"""Whether TensorFlow Lite 2.14.1, which recocomp links with a chosen set of kernels, knows a model's operators.

The converter is newer than the runtime, so its files could ask for operator versions that do not exist there.
"""

from graph import Graph

# The highest version that 2.14.1 accepts, of the operators that our models use and cross/ compiles in.
KNOWN_VERSIONS = {
    "ADD": 5,
    "AVERAGE_POOL_2D": 3,
    "CONV_2D": 7,
    "DEPTHWISE_CONV_2D": 7,
    "DEQUANTIZE": 5,
    "FULLY_CONNECTED": 9,
    "LOGISTIC": 2,
    "MAX_POOL_2D": 3,
    "MUL": 7,
    "PAD": 4,
    "PRELU": 1,
    "QUANTIZE": 3,
    "RELU": 2,
    "RESHAPE": 1,
    "RESIZE_BILINEAR": 4,
}


class UnknownOperator(Exception):
    """The runtime would refuse the model."""


def require_known(data: bytes) -> None:
    for name, version in Graph(data).operator_versions().items():
        if version > KNOWN_VERSIONS.get(name, 0):
            raise UnknownOperator(f"{name} version {version}; known: {KNOWN_VERSIONS.get(name, 'none')}")
