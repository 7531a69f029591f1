// The op table: the TensorFlow Lite kernels this product carries. It takes the place of create_op_resolver_with_builtin_ops.cc.
//
// A model that uses an op missing here fails to load, and TensorFlow Lite names the op on stderr ("Didn't find op for builtin
// opcode ..."). To add one: a line here, its kernels/*.cc in objects.txt; docs/design/runtime.md has the details.
#include <memory>

#include "tensorflow/lite/create_op_resolver.h"
#include "tensorflow/lite/kernels/builtin_op_kernels.h"
#include "tensorflow/lite/mutable_op_resolver.h"

namespace tflite {

std::unique_ptr<MutableOpResolver> CreateOpResolver() {
  auto resolver = std::make_unique<MutableOpResolver>();
// The last two numbers are the op versions accepted. A kernel refuses what it cannot do when tensors are allocated.
#define OP(name) resolver->AddBuiltin(BuiltinOperator_##name, ops::builtin::Register_##name(), 1, 9)
  // products
  OP(CONV_2D);
  OP(DEPTHWISE_CONV_2D);
  OP(FULLY_CONNECTED);
  // arithmetic
  OP(ABS);
  OP(ADD);
  OP(MUL);
  OP(SUB);
  // activations
  OP(HARD_SWISH);
  OP(LEAKY_RELU);
  OP(LOGISTIC);
  OP(PRELU);
  OP(RELU);
  OP(RELU6);
  OP(SOFTMAX);
  // pooling and reduction
  OP(AVERAGE_POOL_2D);
  OP(L2_NORMALIZATION);
  OP(MAX_POOL_2D);
  OP(MEAN);
  // shape
  OP(CONCATENATION);
  OP(PAD);
  OP(RESHAPE);
  OP(RESIZE_BILINEAR);
  OP(STRIDED_SLICE);
  OP(TRANSPOSE);
  // number formats
  OP(DEQUANTIZE);
  OP(QUANTIZE);
#undef OP
  return resolver;
}

}  // namespace tflite
