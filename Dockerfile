# docker build -t coldstart . && docker run -p 8000:8000 -v coldstart:/data coldstart
FROM python:3.13-slim

ENV PIP_NO_CACHE_DIR=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    COLDSTART_CACHE=/data/models \
    COLDSTART_SERVE_DATA=/data \
    COLDSTART_SERVE_HOST=0.0.0.0

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY prompts prompts
COPY coldstart coldstart
# The CPU build of torch: the default one brings several gigabytes of CUDA.
RUN pip install --extra-index-url https://download.pytorch.org/whl/cpu -c constraints.txt '.[service,postgres]' \
    && useradd --create-home --uid 1000 coldstart \
    && mkdir /data && chown coldstart /data

USER coldstart
VOLUME /data
EXPOSE 8000
# A stop waits for running requests: give docker stop more than COLDSTART_SERVE_GRACE's ten seconds.
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=120s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["coldstart"]
CMD ["serve"]
