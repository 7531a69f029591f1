"""One model on one thread: a picture in, its outputs in the file's order."""

import numpy as np
from ai_edge_litert.interpreter import Interpreter


class Model:
    def __init__(self, data: bytes):
        self._interpreter = Interpreter(model_content=data, num_threads=1)
        self._interpreter.allocate_tensors()
        (self._input,) = self._interpreter.get_input_details()
        self._outputs = self._interpreter.get_output_details()

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """`image`: height x width x 3, already normalised; repeated where the model has a fixed batch."""
        batch = np.broadcast_to(image.astype(np.float32), self._input["shape"])
        self._interpreter.set_tensor(self._input["index"], batch)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(output["index"]) for output in self._outputs]
