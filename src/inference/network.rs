//! One network on one thread: TensorFlow Lite's interpreter with its XNNPACK delegate.

use std::ffi::c_void;
use std::marker::PhantomData;

use tflitec::interpreter::{Interpreter, Options};
use tflitec::tensor::DataType;

use super::models::InputType;
use super::{InferenceError, InputSpec, LoadedModel, Role};

unsafe extern "C" {
    /// Networks made on this thread share packed weights with others that were made under the same key; `cross/tflite/sharing.cc`.
    safe fn recocomp_load_model(key: *const c_void);
}

/// An interpreter with its tensors allocated. It stays on the thread it was made on, because the networks of a thread share the
/// memory for what lies between their layers (`cross/tflite/sharing.cc`).
pub struct Network {
    interpreter: Interpreter<'static>,
    role: Role,
    input: InputSpec,
    /// Scale and zero point of an int8 input; `None` for float32.
    quantization: Option<(f32, i32)>,
    quantized: Vec<i8>,
    /// Index of each output tensor, by name.
    outputs: Vec<(String, usize)>,
    /// Makes it neither `Send` nor `Sync`, though tflitec's interpreter may be sent.
    _stays: PhantomData<*const ()>,
}

impl Network {
    /// Builds the interpreter of `model` for `threads` (at least 1) threads.
    ///
    /// # Errors
    /// An operation the runtime was built without, or tensors other than `models.toml` says.
    pub fn new(model: &LoadedModel, threads: usize) -> Result<Network, InferenceError> {
        let entry = &model.entry;
        let role = entry.role;
        let unloadable = |e: tflitec::Error| InferenceError::Unloadable {
            role,
            id: entry.id.clone(),
            reason: format!("{e} (the runtime names a missing operation on stderr)"),
        };
        let options = Options {
            thread_count: i32::try_from(threads.max(1)).unwrap_or(1),
            is_xnnpack_enabled: true,
        };
        // Models are never freed, so an address stands for one model.
        recocomp_load_model(std::ptr::from_ref(model.model).cast());
        let interpreter = Interpreter::new(model.model, Some(options));
        recocomp_load_model(std::ptr::null());
        let interpreter = interpreter.map_err(unloadable)?;
        interpreter.allocate_tensors().map_err(unloadable)?;

        let shape = |what: &str, found: &[usize], expected: &[usize]| {
            if found == expected {
                return Ok(());
            }
            Err(InferenceError::Shape {
                role,
                id: entry.id.clone(),
                what: what.to_owned(),
                found: found.to_vec(),
                expected: expected.to_vec(),
            })
        };
        let input = interpreter.input(0).map_err(unloadable)?;
        let expected = [1, entry.input.height, entry.input.width, 3];
        shape("the input", input.shape().dimensions(), &expected)?;
        let wrong_type = |found: DataType| InferenceError::Unloadable {
            role,
            id: entry.id.clone(),
            reason: format!(
                "a tensor is of type {found:?}, models.toml says {:?} in and float32 out",
                entry.input.dtype
            ),
        };
        let quantization = match (entry.input.dtype, input.data_type()) {
            (InputType::Float32, DataType::Float32) => None,
            (InputType::Int8, DataType::Int8) => {
                let q = (input.quantization_parameters())
                    .ok_or_else(|| wrong_type(input.data_type()))?;
                Some((q.scale, q.zero_point))
            }
            (_, found) => return Err(wrong_type(found)),
        };
        let mut outputs = Vec::new();
        for (name, expected) in &entry.output {
            let mut found = Vec::new();
            for index in 0..interpreter.output_tensor_count() {
                let tensor = interpreter.output(index).map_err(unloadable)?;
                if tensor.shape().dimensions() == expected {
                    if tensor.data_type() != DataType::Float32 {
                        return Err(wrong_type(tensor.data_type()));
                    }
                    outputs.push((name.clone(), index));
                    found = expected.clone();
                    break;
                }
                found = tensor.shape().dimensions().clone();
            }
            shape(&format!("the output \"{name}\""), &found, expected)?;
        }
        Ok(Network {
            role,
            input: entry.input,
            quantized: Vec::new(),
            interpreter,
            quantization,
            outputs,
            _stays: PhantomData,
        })
    }

    /// How the input is prepared.
    pub fn input(&self) -> &InputSpec {
        &self.input
    }

    /// Runs the network on `rgb`, `height * width * 3` bytes of interleaved pixels.
    ///
    /// # Errors
    /// The runtime failed, or `rgb` has another length than the input.
    pub fn run(&mut self, rgb: &[u8], scratch: &mut Vec<f32>) -> Result<(), InferenceError> {
        let InputSpec { mean, scale, .. } = self.input;
        match self.quantization {
            None => {
                scratch.clear();
                scratch.extend(rgb.iter().map(|&v| (f32::from(v) - mean) / scale));
                self.interpreter.copy(scratch, 0)
            }
            Some((step, zero)) => {
                self.quantized.clear();
                self.quantized.extend(rgb.iter().map(|&v| {
                    let x = (f32::from(v) - mean) / scale;
                    ((x / step).round() + zero as f32).clamp(-128.0, 127.0) as i8
                }));
                self.interpreter.copy(&self.quantized, 0)
            }
        }
        .and_then(|()| self.interpreter.invoke())
        .map_err(|e| self.fault(e.to_string()))
    }

    /// Copies the output called `name` in `models.toml` into `out`.
    ///
    /// # Errors
    /// No such output: `models.toml` and the code disagree.
    pub fn output(&self, name: &str, out: &mut Vec<f32>) -> Result<(), InferenceError> {
        let (_, index) = (self.outputs.iter().find(|(n, _)| n == name))
            .ok_or_else(|| self.fault(format!("models.toml names no output \"{name}\"")))?;
        let tensor = (self.interpreter.output(*index)).map_err(|e| self.fault(e.to_string()))?;
        out.clear();
        out.extend_from_slice(tensor.data::<f32>());
        Ok(())
    }

    /// A failure of this network.
    pub fn fault(&self, reason: String) -> InferenceError {
        InferenceError::Run {
            role: self.role,
            reason,
        }
    }
}
