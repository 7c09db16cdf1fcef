// Has Microsoft's DXC compile files of HLSL for shader model 6.0, and says which it accepts: benches/README.md.
//
//     dxc LIBRARY FILE...

#include <cstdio>
#include <dlfcn.h>
#include <fstream>
#include <iterator>
#include <string>
#include "WinAdapter.h"
#include "dxcapi.h"
int main(int argc, char** argv) {
    void* library = dlopen(argv[1], RTLD_NOW);
    if (!library) { std::fprintf(stderr, "%s\n", dlerror()); return 2; }
    auto create = reinterpret_cast<DxcCreateInstanceProc>(dlsym(library, "DxcCreateInstance"));
    IDxcCompiler3* compiler = nullptr;
    if (create(CLSID_DxcCompiler, __uuidof(IDxcCompiler3), reinterpret_cast<void**>(&compiler)) != S_OK) return 2;
    int failed = 0;
    for (int i = 2; i < argc; i++) {
        std::ifstream file(argv[i]);
        std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
        DxcBuffer source{text.data(), text.size(), DXC_CP_UTF8};
        LPCWSTR flags[] = {L"-E", L"main", L"-T", L"cs_6_0", L"-HV", L"2018"};
        IDxcResult* result = nullptr;
        IDxcBlobUtf8* errors = nullptr;
        IDxcBlob* object = nullptr;
        HRESULT status = compiler->Compile(&source, flags, 6, nullptr, __uuidof(IDxcResult), reinterpret_cast<void**>(&result));
        if (status == S_OK) result->GetStatus(&status);
        if (result) {
            result->GetOutput(DXC_OUT_ERRORS, __uuidof(IDxcBlobUtf8), reinterpret_cast<void**>(&errors), nullptr);
            result->GetOutput(DXC_OUT_OBJECT, __uuidof(IDxcBlob), reinterpret_cast<void**>(&object), nullptr);
        }
        std::printf("%s: %s, %zu bytes\n", argv[i], status == S_OK ? "accepted" : "refused", object ? object->GetBufferSize() : 0);
        if (errors && errors->GetStringLength()) std::fprintf(stderr, "%s\n", errors->GetStringPointer());
        failed |= status != S_OK;
    }
    return failed;
}
