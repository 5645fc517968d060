# One image for every process; docker-compose.yml says which one a container becomes.
FROM python:3.11.16-slim-bookworm

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    ENV_FILE=/dev/null \
    VAR_DIR=/var/lib/outtray \
    WITNESS_DIR=/var/lib/outtray-witness

RUN useradd --system --uid 10001 --home-dir /var/lib/outtray outtray \
    && install -d -o outtray -g outtray /var/lib/outtray /var/lib/outtray/media /var/lib/outtray/caught \
        /var/lib/outtray-witness

WORKDIR /srv/outtray
COPY requirements.txt .
RUN pip install --require-hashes -r requirements.txt
COPY manage.py ./
COPY config config
COPY messaging messaging
COPY templates templates
COPY static static

USER outtray
# The key is for this one command and is kept nowhere.
RUN SECRET_KEY="$(python -c 'import secrets; print(secrets.token_urlsafe(50))')" \
    python manage.py collectstatic --no-input --verbosity 0

EXPOSE 8000
CMD ["python", "-m", "config.processes", "--host", "0.0.0.0", "web"]
