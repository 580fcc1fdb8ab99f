# llamabench in a container: --target cpu or --target cuda. Not built by the project's tests.
#
#     docker build --target cpu -t llamabench .
#     docker run --rm --network none -v "$PWD:/work" llamabench run model.gguf
#
# The image holds what was compiled, not the compilers. Build for the machine that it is to run on: GGML_NATIVE takes
# the instruction sets of the builder; for an image that is passed on, give --build-arg GGML_NATIVE=off.

ARG CUDA=12.6.3

# --- llama.cpp for the processor ------------------------------------------------------------------
FROM python:3.12-slim-bookworm AS build-cpu
RUN apt-get update && apt-get install --yes --no-install-recommends build-essential cmake ninja-build \
    && rm -rf /var/lib/apt/lists/*
ARG GGML_NATIVE=on
RUN python -m venv /opt/llamabench
WORKDIR /source
COPY requirements.txt scripts/compiler_flags.sh ./
RUN flags=$(sh compiler_flags.sh) && CFLAGS="$flags" CXXFLAGS="$flags" \
    CMAKE_ARGS="-DGGML_NATIVE=${GGML_NATIVE}" /opt/llamabench/bin/pip install --no-cache-dir -r requirements.txt
COPY . .
RUN /opt/llamabench/bin/pip install --no-cache-dir .

FROM python:3.12-slim-bookworm AS cpu
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home llamabench
COPY --from=build-cpu /opt/llamabench /opt/llamabench
ENV PATH=/opt/llamabench/bin:$PATH
USER llamabench
WORKDIR /work
ENTRYPOINT ["llamabench"]
CMD ["--help"]

# --- llama.cpp for NVIDIA's cards -----------------------------------------------------------------
FROM nvidia/cuda:${CUDA}-devel-ubuntu24.04 AS build-cuda
RUN apt-get update && apt-get install --yes --no-install-recommends build-essential cmake ninja-build \
    python3 python3-dev python3-venv && rm -rf /var/lib/apt/lists/*
ARG GGML_NATIVE=on
# compute capabilities without the dot, such as 86 for an RTX 3060; more by a semicolon
ARG CUDA_ARCHITECTURES=75;80;86;89
RUN python3 -m venv /opt/llamabench
WORKDIR /source
COPY requirements.txt ./
# the driver's library is there when the image runs, not when it is built: its stub is linked against
RUN CMAKE_ARGS="-DGGML_CUDA=on -DGGML_NATIVE=${GGML_NATIVE} -DCMAKE_CUDA_ARCHITECTURES=${CUDA_ARCHITECTURES} -DCMAKE_EXE_LINKER_FLAGS=-Wl,--allow-shlib-undefined" \
    LIBRARY_PATH=/usr/local/cuda/lib64/stubs /opt/llamabench/bin/pip install --no-cache-dir -r requirements.txt
COPY . .
RUN /opt/llamabench/bin/pip install --no-cache-dir ".[nvml]"

FROM nvidia/cuda:${CUDA}-runtime-ubuntu24.04 AS cuda
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 python3 && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home llamabench
COPY --from=build-cuda /opt/llamabench /opt/llamabench
ENV PATH=/opt/llamabench/bin:$PATH
USER llamabench
WORKDIR /work
ENTRYPOINT ["llamabench"]
CMD ["--help"]
