// What interpreters share that the delegate of this version of TensorFlow Lite gives to each of them.
//
// Activations: XNNPACK keeps those of a network in a workspace, and the networks of a worker run one after the other. All of a thread
// share one, which is as large as the largest of them needs, not as all of them together. XNNPACK's rule for runtimes of one
// workspace: never two at a time. So an interpreter stays on the thread that it was made on; src/inference/network.rs has the compiler
// see to that.
//
// Packed weights: those of one model are the same for every worker.
#include <map>
#include <mutex>

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

// Which model is being loaded on this thread. A key that nobody looks behind; null: its weights are not shared.
thread_local const void* model = nullptr;

// Packed weights by model, for as long as the program runs, as the models themselves.
std::mutex packing;
std::map<const void*, xnn_weights_cache_t>& packed() {
  static auto* caches = new std::map<const void*, xnn_weights_cache_t>;
  return *caches;
}

xnn_status create_runtime(xnn_subgraph_t subgraph, xnn_weights_cache_t weights, pthreadpool_t threadpool, uint32_t flags,
                          xnn_runtime_t* runtime) {
  return xnn_create_runtime_v4(subgraph, weights, workspace.handle, threadpool, flags, runtime);
}

}  // namespace

extern "C" void recocomp_load_model(const void* key) { model = key; }

// Stands in xnnpack_delegate.cc where xnn_create_runtime_v4 stood; see CMakeLists.txt.
extern "C" enum xnn_status recocomp_create_runtime(xnn_subgraph_t subgraph, xnn_weights_cache_t own, xnn_workspace_t /* of the delegate */,
                                                   pthreadpool_t threadpool, uint32_t flags, xnn_runtime_t* runtime) {
  if (workspace.handle == nullptr) {
    const xnn_status status = xnn_create_workspace(&workspace.handle);
    if (status != xnn_status_success) return status;
  }
  if (model == nullptr) return create_runtime(subgraph, own, threadpool, flags, runtime);

  std::unique_lock<std::mutex> lock(packing);
  const auto found = packed().find(model);
  if (found != packed().end()) {
    // Finalized: it only compares what is packed with what it has. XNNPACK locks it for that.
    lock.unlock();
    return create_runtime(subgraph, found->second, threadpool, flags, runtime);
  }
  xnn_weights_cache_t weights = nullptr;
  xnn_status status = xnn_create_weights_cache(&weights);
  if (status != xnn_status_success) return status;
  status = create_runtime(subgraph, weights, threadpool, flags, runtime);
  if (status == xnn_status_success) {
    status = xnn_finalize_weights_cache(weights, xnn_weights_cache_finalization_kind_soft);
    if (status != xnn_status_success) {
      xnn_delete_runtime(*runtime);
      *runtime = nullptr;
    }
  }
  if (status != xnn_status_success) {
    xnn_delete_weights_cache(weights);
    return status;
  }
  packed().emplace(model, weights);
  return status;
}
