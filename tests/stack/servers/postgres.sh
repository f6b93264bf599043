# Postgres 15 from the system's packages, ready for logical replication. Superuser "postgres", no password.
# shellcheck shell=bash
postgres_bin=${STACK_PG_BIN:-/usr/lib/postgresql/15/bin}

postgres_fetch() {
  [ -x "$postgres_bin/initdb" ] || fail "no $postgres_bin/initdb: apt-get install postgresql-15, or set STACK_PG_BIN"
}

postgres_start() {
  local data=$run/postgres/data
  if [ ! -s "$data/PG_VERSION" ]; then
    (cd "$run/postgres" && "${unrooted[@]}" "$postgres_bin/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync) >"$run/postgres/initdb.log" 2>&1 ||
      fail "initdb failed: $run/postgres/initdb.log"
  fi
  # Postgres takes the zombie of a killed one for a running one. Should its children still live, it says so even then.
  rm -f "$data/postmaster.pid"
  # A killed process loses nothing without fsync, only a killed machine does.
  spawn postgres "${unrooted[@]}" "$postgres_bin/postgres" -D "$data" -p "$(port postgres)" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories= -c wal_level=logical -c max_replication_slots=20 -c max_wal_senders=20 -c fsync=off
}

postgres_ready() { "$postgres_bin/pg_isready" -q -h 127.0.0.1 -p "$(port postgres)" -U postgres; }
postgres_url() { echo "postgres://postgres@127.0.0.1:$(port postgres)/postgres"; }
