// Has the reference's OpenCL code take a software device (POCL) for a GPU of AMD: it lists no other. To be preloaded.
//
//   cc -shared -fPIC -o as_gpu.so as_gpu.c -ldl
#define _GNU_SOURCE
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <dlfcn.h>
#include <string.h>

static const cl_uint AMD = 0x1002;

cl_int clGetDeviceIDs(cl_platform_id platform, cl_device_type type, cl_uint room, cl_device_id *ids, cl_uint *count) {
    cl_int (*real)(cl_platform_id, cl_device_type, cl_uint, cl_device_id *, cl_uint *) = dlsym(RTLD_NEXT, "clGetDeviceIDs");
    return real(platform, type == CL_DEVICE_TYPE_GPU ? CL_DEVICE_TYPE_ALL : type, room, ids, count);
}

static cl_int answer(const void *value, size_t bytes, size_t room, void *out, size_t *written) {
    if (written) *written = bytes;
    if (out && room < bytes) return CL_INVALID_VALUE;
    if (out) memcpy(out, value, bytes);
    return CL_SUCCESS;
}

cl_int clGetDeviceInfo(cl_device_id id, cl_device_info what, size_t room, void *out, size_t *written) {
    static const cl_device_type gpu = CL_DEVICE_TYPE_GPU;
    cl_int (*real)(cl_device_id, cl_device_info, size_t, void *, size_t *) = dlsym(RTLD_NEXT, "clGetDeviceInfo");
    if (what == CL_DEVICE_VENDOR_ID) return answer(&AMD, sizeof AMD, room, out, written);
    if (what == CL_DEVICE_TYPE) return answer(&gpu, sizeof gpu, room, out, written);
    return real(id, what, room, out, written);
}
