/* Linked and run once after every build of the runtime: does the linker script give a working static program with the delegate? */
#include <stdio.h>

#include "tensorflow/lite/c/c_api.h"

int main(void) {
  TfLiteXNNPackDelegateOptions options = TfLiteXNNPackDelegateOptionsDefault();
  TfLiteDelegate* delegate = TfLiteXNNPackDelegateCreate(&options);
  TfLiteInterpreterOptions* interpreter_options = TfLiteInterpreterOptionsCreate();
  if (delegate == NULL || interpreter_options == NULL) return 1;
  TfLiteInterpreterOptionsAddDelegate(interpreter_options, delegate);
  /* Never called with a model, but it makes the linker resolve every kernel of the op table. */
  TfLiteInterpreter* interpreter = TfLiteInterpreterCreate(NULL, interpreter_options);
  TfLiteInterpreterOptionsDelete(interpreter_options);
  TfLiteXNNPackDelegateDelete(delegate);
  printf("%s\n", TfLiteVersion());
  return interpreter != NULL;
}
