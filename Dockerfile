# One image for every role: `global`, `zone`, `dataplane` (with Envoy), and the offline commands.
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements/run.txt requirements/dev.txt requirements/
# The build backend is taken from the same lock as everything else.
RUN python -m venv /opt/reconciler \
 && /opt/reconciler/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/run.txt \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/dev.txt
COPY . .
RUN /opt/build/bin/python -m hatchling build -t wheel -d /dist \
 && /opt/reconciler/bin/pip install --no-cache-dir --no-deps --no-index /dist/*.whl

FROM python:3.11-slim
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/reconciler --create-home reconciler
# For `install transparent-proxy` in an init container; nothing else needs them.
RUN apt-get update && apt-get install -y --no-install-recommends iptables nftables \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/reconciler /opt/reconciler
ENV PATH=/opt/reconciler/bin:$PATH PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/reconciler
# State of a control plane: one sqlite file and its keys.
VOLUME /var/lib/reconciler
# KDS; bootstrap, ADS; HTTP API; health and metrics.
EXPOSE 5685 5678 5679 5681 5682 5680
ENTRYPOINT ["reconciler"]
CMD ["--help"]
