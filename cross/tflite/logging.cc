// What TensorFlow Lite itself prints on stderr: warnings and errors. It takes the place of minimal_logging_default.cc, which also
// announces every delegate.
//
// RECOCOMP_RUNTIME_LOG=verbose|info|warning|error|silent in the environment changes the level. `verbose` prints how many nodes of
// a model run in XNNPACK ("Replacing 105 out of 107 node(s) with delegate ...").
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tensorflow/lite/minimal_logging.h"

namespace tflite {
namespace logging_internal {

namespace {

LogSeverity WantedSeverity() {
  const char* wanted = std::getenv("RECOCOMP_RUNTIME_LOG");
  if (wanted == nullptr) return TFLITE_LOG_WARNING;
  if (std::strcmp(wanted, "verbose") == 0) return TFLITE_LOG_VERBOSE;
  if (std::strcmp(wanted, "info") == 0) return TFLITE_LOG_INFO;
  if (std::strcmp(wanted, "error") == 0) return TFLITE_LOG_ERROR;
  if (std::strcmp(wanted, "silent") == 0) return TFLITE_LOG_SILENT;
  return TFLITE_LOG_WARNING;
}

}  // namespace

LogSeverity MinimalLogger::minimum_log_severity_ = WantedSeverity();

void MinimalLogger::LogFormatted(LogSeverity severity, const char* format, va_list args) {
  if (severity < minimum_log_severity_) return;
  // One write a line: lines of several threads must not mix.
  char line[1024];
  std::vsnprintf(line, sizeof line, format, args);
  std::fprintf(stderr, "%s: %s\n", GetSeverityName(severity), line);
}

}  // namespace logging_internal
}  // namespace tflite
