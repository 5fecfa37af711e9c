// SAXPY: y = a * x + y on the GPU, checked against the CPU. Ends with 0 only if every element is right.
//
// VSCode: F5 builds and debugs it (set a breakpoint inside saxpy). By hand: nvcc -arch=native -o saxpy saxpy.cu && ./saxpy
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

// Every CUDA call goes through this: without a GPU, or after a fault in a kernel, it names the call and ends.
#define CHECK(call)                                                                                        \
    do {                                                                                                   \
        const cudaError_t status = (call);                                                                 \
        if (status != cudaSuccess) {                                                                       \
            std::fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, cudaGetErrorString(status)); \
            std::exit(EXIT_FAILURE);                                                                       \
        }                                                                                                  \
    } while (0)

__global__ void saxpy(int n, float a, const float *x, float *y) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        y[i] = a * x[i] + y[i];
    }
}

static int countWrong(const std::vector<float> &x, const std::vector<float> &before, const std::vector<float> &after,
                      float a) {
    int wrong = 0;
    for (size_t i = 0; i < x.size(); ++i) {
        const float expected = a * x[i] + before[i];
        if (!(std::fabs(after[i] - expected) <= 1e-5f * std::fabs(expected))) {
            if (++wrong <= 5) {
                std::fprintf(stderr, "y[%zu] is %g, expected %g\n", i, after[i], expected);
            }
        }
    }
    return wrong;
}

int main() {
    const int n = 1 << 20;
    const float a = 2.0f;
    const size_t bytes = n * sizeof(float);

    std::vector<float> x(n), before(n), after(n);
    for (int i = 0; i < n; ++i) {
        x[i] = 0.001f * static_cast<float>(i % 1000) + 1.0f;
        before[i] = 3.0f;
    }

    cudaDeviceProp device;
    CHECK(cudaGetDeviceProperties(&device, 0));
    std::printf("GPU: %s (sm_%d%d)\n", device.name, device.major, device.minor);

    float *gpuX = nullptr;
    float *gpuY = nullptr;
    CHECK(cudaMalloc(&gpuX, bytes));
    CHECK(cudaMalloc(&gpuY, bytes));
    CHECK(cudaMemcpy(gpuX, x.data(), bytes, cudaMemcpyHostToDevice));
    CHECK(cudaMemcpy(gpuY, before.data(), bytes, cudaMemcpyHostToDevice));

    const int threads = 256;
    saxpy<<<(n + threads - 1) / threads, threads>>>(n, a, gpuX, gpuY);
    CHECK(cudaGetLastError());
    CHECK(cudaDeviceSynchronize());

    CHECK(cudaMemcpy(after.data(), gpuY, bytes, cudaMemcpyDeviceToHost));
    CHECK(cudaFree(gpuX));
    CHECK(cudaFree(gpuY));

    const int wrong = countWrong(x, before, after, a);
    if (wrong > 0) {
        std::fprintf(stderr, "FAILED: %d of %d elements are wrong\n", wrong, n);
        return EXIT_FAILURE;
    }
    std::printf("PASSED: %d elements, y = %.1f * x + y\n", n, a);
    return EXIT_SUCCESS;
}
