"""A TensorFlow Lite file as an editable graph of one subgraph."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

Op = schema.BuiltinOperator
_OP_NAMES = {value: name for name, value in vars(Op).items() if isinstance(value, int)}
_DTYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT8: np.int8,
}
_TENSOR_TYPES = {np.dtype(dtype): kind for kind, dtype in _DTYPES.items()}


class Graph:
    """Operators and tensors of one model; tensors are named by their index."""

    def __init__(self, data: bytes):
        self.model = schema.ModelT.InitFromPackedBuf(data, 0)
        (self.subgraph,) = self.model.subgraphs

    @classmethod
    def empty(cls) -> "Graph":
        """A graph of nothing, to be filled."""
        graph = cls.__new__(cls)
        graph.subgraph = schema.SubGraphT()
        graph.subgraph.tensors, graph.subgraph.operators = [], []
        graph.model = schema.ModelT()
        graph.model.version = 3
        graph.model.operatorCodes, graph.model.subgraphs = [], [graph.subgraph]
        graph.model.buffers = [schema.BufferT()]  # buffer 0 is empty by definition of the format
        return graph

    @property
    def operators(self):
        return self.subgraph.operators

    @property
    def inputs(self) -> list[int]:
        return [int(index) for index in self.subgraph.inputs]

    @property
    def outputs(self) -> list[int]:
        return [int(index) for index in self.subgraph.outputs]

    def kind(self, operator) -> int:
        code = self.model.operatorCodes[operator.opcodeIndex]
        # Old files keep the code in the 8-bit field only.
        return max(code.builtinCode, code.deprecatedBuiltinCode)

    def operator_versions(self) -> dict[str, int]:
        versions = {}
        for operator in self.operators:
            code = self.model.operatorCodes[operator.opcodeIndex]
            name = _OP_NAMES[self.kind(operator)]
            versions[name] = max(versions.get(name, 0), code.version)
        return versions

    def shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(int(size) for size in self.subgraph.tensors[tensor].shape)

    def constant(self, tensor: int) -> np.ndarray | None:
        """The tensor's stored value, or None where it is computed at run time."""
        entry = self.subgraph.tensors[tensor]
        data = self.model.buffers[entry.buffer].data
        if data is None or len(data) == 0:
            return None
        return np.frombuffer(bytes(data), _DTYPES[entry.type]).reshape(self.shape(tensor))

    def set_constant(self, tensor: int, value: np.ndarray) -> None:
        self.subgraph.tensors[tensor].buffer = self._add_buffer(value)

    def add_constant(self, name: str, value: np.ndarray) -> int:
        tensor = self.add_tensor(name, value.shape, value.dtype)
        self.set_constant(tensor, value)
        return tensor

    def add_tensor(self, name: str, shape, dtype) -> int:
        tensor = schema.TensorT()
        tensor.name = name.encode()
        tensor.shape = np.array(shape, np.int32)
        tensor.type = _TENSOR_TYPES[np.dtype(dtype)]
        tensor.buffer = 0  # buffer 0 is empty by definition of the format
        self.subgraph.tensors.append(tensor)
        return len(self.subgraph.tensors) - 1

    def new_operator(self, kind: int, inputs, outputs, options=None, options_type=0, version=1):
        operator = schema.OperatorT()
        operator.opcodeIndex = self._opcode(kind, version)
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array(outputs, np.int32)
        operator.builtinOptions = options
        operator.builtinOptionsType = options_type
        return operator

    def serialize(self, name: str, input_name: str, output_names: list[str]) -> bytes:
        """The file's bytes, without the tensors, buffers, codes and metadata that nothing uses."""
        self._drop_unused()
        self.model.description = name.encode()
        self.model.metadata = None
        self.model.metadataBuffer = None
        self.model.signatureDefs = [self._signature(input_name, output_names)]
        builder = _Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _opcode(self, kind: int, version: int) -> int:
        for index, code in enumerate(self.model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == kind and code.version == version:
                return index
        code = schema.OperatorCodeT()
        code.builtinCode = kind
        code.deprecatedBuiltinCode = min(kind, 127)
        code.version = version
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def _add_buffer(self, value: np.ndarray) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1

    def _signature(self, input_name: str, output_names: list[str]):
        def entry(name, tensor):
            result = schema.TensorMapT()
            result.name = name.encode()
            result.tensorIndex = tensor
            return result

        signature = schema.SignatureDefT()
        signature.signatureKey = b"serving_default"
        signature.subgraphIndex = 0
        signature.inputs = [entry(input_name, self.inputs[0])]
        signature.outputs = [entry(name, tensor) for name, tensor in zip(output_names, self.outputs, strict=True)]
        return signature

    def _drop_unused(self) -> None:
        subgraph, model = self.subgraph, self.model
        used = {*self.inputs, *self.outputs}
        for operator in self.operators:
            used.update(int(index) for index in [*operator.inputs, *operator.outputs] if index >= 0)
        tensors = _renumber(used)
        subgraph.tensors = [subgraph.tensors[old] for old in tensors]
        tensors[-1] = -1  # an absent optional input
        for owner in [subgraph, *self.operators]:
            owner.inputs = np.array([tensors[int(index)] for index in owner.inputs], np.int32)
            owner.outputs = np.array([tensors[int(index)] for index in owner.outputs], np.int32)
        buffers = _renumber({0} | {tensor.buffer for tensor in subgraph.tensors})
        model.buffers = [model.buffers[old] for old in buffers]
        for tensor in subgraph.tensors:
            tensor.buffer = buffers[tensor.buffer]
        codes = _renumber({operator.opcodeIndex for operator in self.operators})
        model.operatorCodes = [model.operatorCodes[old] for old in codes]
        for operator in self.operators:
            operator.opcodeIndex = codes[operator.opcodeIndex]


class _Builder(flatbuffers.Builder):
    """Aligns buffers to 16 bytes: the schema demands it, but the generated Python code does not know."""

    def CreateNumpyVector(self, x):
        if x.dtype != np.uint8 or len(x) == 0:
            return super().CreateNumpyVector(x)
        self.StartVector(1, len(x), 16)
        self.head -= len(x)
        self.Bytes[self.head : self.head + len(x)] = x.tobytes()
        return self.EndVector()


def _renumber(kept: set[int]) -> dict[int, int]:
    return {old: new for new, old in enumerate(sorted(kept))}
