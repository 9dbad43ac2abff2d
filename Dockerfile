# The images of Holdfast: docker build --target api|worker|lambda|migrate|sandbox .
#
# Base images are named by tag here and by digest where it counts: the release workflow asks the registry which digest a tag
# stands for, builds with `--build-arg RUST_IMAGE=<tag>@<digest>` and writes the digest into the labels. So a new tag here is
# all that renewing one takes, and docs/operations.md, "Images", says how to build a released image once more.
#
# The final images are distroless "cc": glibc, libgcc, CA certificates, time zones, and nothing that could be run but our one
# binary. The binaries need glibc and libgcc, so "static" is too little; debian:slim would add a shell, a package manager and
# the reports about both. Debian 12 on both sides: a binary must not be linked with a newer glibc than it will find.
# Not the slim one: the allocator is built with make.
ARG RUST_IMAGE=rust:1.95.0-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# ---- what builds

FROM ${RUST_IMAGE} AS toolchain
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# Lists the crates inside of each binary, a few kilobytes: an SBOM of the image then names what is linked, not what might be.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    CARGO_TARGET_DIR=/tmp/target cargo install --quiet cargo-auditable --version 0.7.5 --locked --root /usr/local \
    && rm -rf /tmp/target

FROM toolchain AS sources
WORKDIR /src
COPY . .
# Neither where it was built, nor when, nor by how many cores may change the binary. Line numbers of panics stay without debug
# information, and symbols stay for profiles.
ENV SQLX_OFFLINE=true \
    CARGO_INCREMENTAL=0 \
    CARGO_PROFILE_RELEASE_STRIP=debuginfo \
    CARGO_TERM_COLOR=never \
    RUSTFLAGS="--remap-path-prefix=/src=/holdfast --remap-path-prefix=/usr/local/cargo=/cargo --remap-path-prefix=/usr/local/rustup=/rustup" \
    CFLAGS="-ffile-prefix-map=/src=/holdfast -ffile-prefix-map=/usr/local/cargo=/cargo" \
    CXXFLAGS="-ffile-prefix-map=/src=/holdfast -ffile-prefix-map=/usr/local/cargo=/cargo" \
    LC_ALL=C.UTF-8 TZ=UTC

# What a run of the binaries has taught: `--build-context profile=FOLDER`, with the holdfast.profdata of `scripts/release
# train` in that folder. Without it they are slower by a tenth.
FROM scratch AS profile
COPY --from=toolchain /etc/os-release /none

# What is deployed. Built together: most of the time goes into what they share.
FROM sources AS build
ARG SOURCE_DATE_EPOCH=0
# "true" for a release: then nothing is built without a profile.
ARG TRAINED=false
COPY --from=profile / /profile/
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=holdfast-target,target=/src/target,sharing=locked \
    PROFILE=/profile/holdfast.profdata TRAINED=$TRAINED CARGO_BUILD="cargo auditable build" scripts/release build /out \
    && touch --date "@$SOURCE_DATE_EPOCH" /out/*

# What stands around it in development. Built apart: features that only it asks for must not get into what is deployed.
FROM sources AS build-sandbox
ARG SOURCE_DATE_EPOCH=0
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=holdfast-target-sandbox,target=/src/target,sharing=locked \
    cargo auditable build --release --locked --package holdfast-devstack \
    && install -D --mode 0755 target/release/holdfast-devstack /out/holdfast-devstack \
    && mkdir -p /out/data \
    && touch --date "@$SOURCE_DATE_EPOCH" /out/holdfast-devstack /out/data

# Certificates that images trust beside the public ones, as those of a Postgres whose CA is not public:
# `--build-context certificates=FOLDER` puts what is in that folder here instead. DATABASE_URL then says
# `?sslmode=verify-full&sslrootcert=/etc/holdfast/certificates/<file>`.
FROM scratch AS certificates
COPY --from=toolchain /etc/ssl/certs/ca-certificates.crt /public.pem

# ---- what runs

FROM ${RUNTIME_IMAGE} AS runtime
ARG SOURCE_DATE_EPOCH=0
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=unknown
ARG RUNTIME_NAME=gcr.io/distroless/cc-debian12:nonroot
ARG RUNTIME_DIGEST=unknown
LABEL org.opencontainers.image.vendor="Holdfast" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${RUNTIME_NAME}" \
      org.opencontainers.image.base.digest="${RUNTIME_DIGEST}"
COPY --from=certificates / /etc/holdfast/certificates/
# holdfast.toml is looked for in the working directory.
WORKDIR /etc/holdfast
# A number, so that an orchestrator can see that it is not root.
USER 65532:65532

FROM runtime AS api
LABEL org.opencontainers.image.title="holdfast-api" \
      org.opencontainers.image.description="Accepts commands over HTTP and answers 202."
COPY --from=build /out/holdfast-api /usr/local/bin/holdfast-api
ENV HOLDFAST__API__LISTEN=0.0.0.0:8080 HOLDFAST__API__METRICS_LISTEN=0.0.0.0:9464
EXPOSE 8080 9464
HEALTHCHECK --interval=5s --timeout=3s --start-period=15s --retries=3 CMD ["/usr/local/bin/holdfast-api", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/holdfast-api"]

FROM runtime AS worker
LABEL org.opencontainers.image.title="holdfast-worker" \
      org.opencontainers.image.description="Carries accepted commands to their end."
COPY --from=build /out/holdfast-worker /usr/local/bin/holdfast-worker
ENV HOLDFAST__WORKER__METRICS_LISTEN=0.0.0.0:9465
EXPOSE 9465
HEALTHCHECK --interval=5s --timeout=3s --start-period=15s --retries=3 CMD ["/usr/local/bin/holdfast-worker", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/holdfast-worker"]

# Speaks Lambda's runtime interface by itself.
FROM runtime AS lambda
LABEL org.opencontainers.image.title="holdfast-lambda" \
      org.opencontainers.image.description="Carries accepted commands to their end, as a function behind an SQS event source."
COPY --from=build /out/holdfast-lambda /usr/local/bin/holdfast-lambda
HEALTHCHECK NONE
ENTRYPOINT ["/usr/local/bin/holdfast-lambda"]

# The task that runs before a deployment, and whatever else operators run.
FROM runtime AS migrate
LABEL org.opencontainers.image.title="holdfast" \
      org.opencontainers.image.description="Migrates the schema; what operators run."
COPY --from=build /out/holdfast /usr/local/bin/holdfast
HEALTHCHECK NONE
ENTRYPOINT ["/usr/local/bin/holdfast"]
CMD ["migrate"]

# The third party and the callback inbox of docker-compose.yml. Never deployed.
FROM runtime AS sandbox
LABEL org.opencontainers.image.title="holdfast-devstack" \
      org.opencontainers.image.description="Sandbox third party and callback inbox, for development."
COPY --from=build-sandbox /out/holdfast-devstack /usr/local/bin/holdfast-devstack
COPY --from=build /out/holdfast /usr/local/bin/holdfast
COPY --from=build-sandbox --chown=65532:65532 /out/data /data
EXPOSE 8081 8082
HEALTHCHECK --interval=5s --timeout=3s --start-period=15s --retries=3 CMD ["/usr/local/bin/holdfast-devstack", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/holdfast-devstack", "--home", "/data"]
CMD ["sandbox"]
