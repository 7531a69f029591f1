// One workspace for all networks of a thread. XNNPACK keeps a network's activations in a workspace; the delegate of this version of
// TensorFlow Lite makes one for every interpreter, though the networks of a worker run one after the other. Shared, it is as large as
// the largest of them needs, not as all of them together.
//
// XNNPACK's rule for runtimes of one workspace: never two at a time. So an interpreter stays on the thread that it was made on;
// src/inference/network.rs has the compiler see to that.
#include "xnnpack.h"

namespace {

// A runtime keeps the workspace alive, too, so it does not matter which of them goes last.
struct ThreadWorkspace {
  xnn_workspace_t handle = nullptr;
  ~ThreadWorkspace() {
    if (handle != nullptr) xnn_release_workspace(handle);
  }
};
thread_local ThreadWorkspace workspace;

}  // namespace

// Stands in xnnpack_delegate.cc where xnn_create_runtime_v4 stood; see CMakeLists.txt.
extern "C" enum xnn_status recocomp_create_runtime(xnn_subgraph_t subgraph, xnn_weights_cache_t weights_cache,
                                                   xnn_workspace_t /* of the delegate */, pthreadpool_t threadpool,
                                                   uint32_t flags, xnn_runtime_t* runtime) {
  if (workspace.handle == nullptr) {
    const enum xnn_status status = xnn_create_workspace(&workspace.handle);
    if (status != xnn_status_success) return status;
  }
  return xnn_create_runtime_v4(subgraph, weights_cache, workspace.handle, threadpool, flags, runtime);
}
