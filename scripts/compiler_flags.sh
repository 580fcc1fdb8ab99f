#!/bin/sh
# Prints compiler flags that llama.cpp needs on this machine; often none.
#
# GCC's intrinsic that configures AMX tiles names 8 of the 64 bytes that it reads, so ggml's configuration is optimised
# away, and every quantized model ends its process at the first prompt (seen with GCC 12; ggml-org/llama.cpp#26954).
# Without AMX, ggml takes its AVX-512 kernels.
set -eu

CC=${CC:-cc}
if [ "$(uname -m)" = x86_64 ] && "$CC" --version 2>/dev/null | grep -qiE 'gcc|free software foundation' &&
    "$CC" -march=native -dM -E -x c /dev/null 2>/dev/null | grep -q __AMX_TILE__; then
    echo "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
fi
