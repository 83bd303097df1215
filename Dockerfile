# syntax=docker/dockerfile:1
#
# The image: one static binary on nothing else. No shell, no libc, no user database, nothing to
# write to.
#
#   docker build --build-arg REVISION="$(git rev-parse --short=12 HEAD)" -t tls-sidecar .
#
# Other architectures: --platform linux/arm64 (or linux/amd64,linux/arm64 with buildx). The build stage
# runs on the machine's own architecture and cross-compiles.
#
# Where no base image can be pulled, a directory with a static `tls-sidecar` takes the place of
# the whole build stage (docker buildx, buildah and podman alike):
#
#   release/build
#   buildah build --build-context build=target/x86_64-unknown-linux-gnu/release -t tls-sidecar .
#
# The same input gives the same image, to the digest, when the time is given:
# `--timestamp "$SOURCE_DATE_EPOCH"` with buildah and podman; with docker buildx the environment
# variable SOURCE_DATE_EPOCH and `--output type=image,rewrite-timestamp=true`.

# By version; who wants it by digest too says --build-arg RUST_IMAGE=docker.io/library/rust@sha256:...
ARG RUST_IMAGE=docker.io/library/rust:1.95.0-bookworm

FROM --platform=$BUILDPLATFORM ${RUST_IMAGE} AS build
ARG BUILDARCH=amd64
ARG TARGETARCH=amd64
WORKDIR /source

# The compiler of the other architecture only where it is the other one: no package has one's own so.
RUN case "$BUILDARCH-$TARGETARCH" in \
        amd64-amd64 | arm64-arm64) cross= ;; \
        amd64-arm64) cross="gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;; \
        arm64-amd64) cross="gcc-x86-64-linux-gnu libc6-dev-amd64-cross" ;; \
        *) echo "from $BUILDARCH to $TARGETARCH: neither amd64 nor arm64" >&2; exit 1 ;; \
    esac \
    && apt-get update \
    && apt-get install --yes --no-install-recommends cmake $cross \
    && rm -rf /var/lib/apt/lists/*
RUN case "$TARGETARCH" in \
        amd64) echo x86_64-unknown-linux-gnu ;; \
        arm64) echo aarch64-unknown-linux-gnu ;; \
    esac >/target \
    && { [ -d "$(rustc --print sysroot)/lib/rustlib/$(cat /target)" ] || rustup target add "$(cat /target)"; }

# glibc and not musl: the target is the one that every test runs on.
ENV CARGO_INCREMENTAL=0 \
    CARGO_TARGET_DIR=/build \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc

# The dependencies are a layer of their own, which a change of the source leaves in the cache.
# Cargo wants the files that Cargo.toml names to be there.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY release release
RUN mkdir -p src benches tests/it \
    && touch src/lib.rs benches/parts.rs tests/it/soak.rs \
    && echo 'fn main() {}' >src/main.rs \
    && TARGET="$(cat /target)" release/build

# Cargo goes by the time of files, and those of a checkout may be older than the empty ones.
COPY src src
ARG REVISION=unknown
RUN find src -type f -exec touch {} + \
    && TLS_SIDECAR_REVISION="$REVISION" TARGET="$(cat /target)" release/build --bin tls-sidecar \
    && cp "/build/$(cat /target)/release/tls-sidecar" /tls-sidecar

FROM scratch
ARG REVISION=unknown
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="tls-sidecar" \
    org.opencontainers.image.description="Terminates TLS beside an application in the same Pod and passes plain HTTP to it on localhost" \
    org.opencontainers.image.licenses="MIT OR Apache-2.0" \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$REVISION"
COPY --from=build --chmod=0555 /tls-sidecar /tls-sidecar
# `tls-sidecar drain` as well as `/tls-sidecar drain` in a preStop.
ENV PATH=/
USER 65532:65532
EXPOSE 443 9901
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/tls-sidecar", "healthcheck"]
ENTRYPOINT ["/tls-sidecar"]
