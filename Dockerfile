# Rowmill and the transforms of this repository. The configuration is mounted at /opt/rowmill/rowmill.toml.
FROM rust:1.95.0-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake libclang-dev libssl-dev pkg-config && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The modules first: the demo's are put into the binary.
RUN make -C transforms modules && cp -r transforms/target/modules /modules && cargo build --release --locked

FROM debian:12.12-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl libssl3 libstdc++6 zlib1g && rm -rf /var/lib/apt/lists/* \
 && useradd --system --home-dir /opt/rowmill rowmill && install -d -o rowmill /opt/rowmill/state
COPY --from=build /src/target/release/rowmill /usr/local/bin/
COPY --from=build /modules /opt/rowmill/transforms
USER rowmill
WORKDIR /opt/rowmill
EXPOSE 8080
ENTRYPOINT ["rowmill"]
CMD ["run", "/opt/rowmill/rowmill.toml"]
