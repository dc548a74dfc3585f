# Meari in a small image: docker build -t meari . && docker run -p 8080:8080 -v meari:/data meari
FROM rust:1-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
COPY benches benches
COPY migrations migrations
COPY src src
COPY web web
RUN mkdir -p tests/it && echo 'fn main() {}' > tests/it/main.rs && cargo build --release --locked --bin meari

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home meari
COPY --from=build /src/target/release/meari /usr/local/bin/meari
COPY meari.example.toml /usr/share/doc/meari/
USER meari
WORKDIR /data
VOLUME /data
EXPOSE 8080
ENV MEARI_LISTEN=0.0.0.0:8080 MEARI_LOG=json \
    MEARI_DATABASE_URL=sqlite:///data/meari.db MEARI_SECRET_FILE=/data/secret.key MEARI_MEDIA_DIR=/data/media
# The shell speaks HTTP well enough, so the image needs no other program.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && head -1 <&3 | grep -q ' 200 '"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["meari"]
CMD ["serve"]
