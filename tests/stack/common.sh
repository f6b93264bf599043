# What all servers share: folders, ports, Java, the user, waiting and stopping. Sourced by ./stack.
# shellcheck shell=bash
stack=${ROWMILL_STACK_DIR:-$HOME/.cache/rowmill/stack} # what was fetched, versions in the names
run=${ROWMILL_STACK_RUN:-$stack/run}                   # RUN/NAME/: data, configuration, log, pid; RUN/NAME.port
start_timeout_s=${STACK_START_TIMEOUT:-180}            # a busy 2-core machine took 60 s for one server
stop_timeout_s=20
# These servers live for minutes: the quick compiler and the small collector halve what a start costs.
# Set STACK_JVM="" for benchmarks.
jvm=${STACK_JVM--XX:TieredStopAtLevel=1 -XX:+UseSerialGC}
maven_dependency=org.apache.maven.plugins:maven-dependency-plugin:3.6.1

fail() {
  echo "stack: $*" >&2
  exit 1
}

# fetch_once FOLDER COMMAND...: COMMAND fills the folder it is given last. $stack/FOLDER appears whole or not
# at all, also when two clones fetch at the same time.
fetch_once() {
  local folder=$1 partial=$stack/.partial-$1
  shift
  [ ! -d "$stack/$folder" ] || return 0
  (
    flock 8
    [ ! -d "$stack/$folder" ] || exit 0
    echo "stack: fetching $folder" >&2
    rm -rf "$partial" && mkdir -p "$partial"
    "$@" "$partial"
    mv "$partial" "$stack/$folder"
  ) 8>"$stack/.lock"
}

maven() {
  local output
  command -v mvn >/dev/null || fail "mvn is missing: run tests/stack/setup --stack"
  output=$(mvn -B -q -Dstyle.color=never "$@" 2>&1) || fail "maven could not fetch: $output"
}

# java_home MIN MAX: the oldest JDK (with javac) of these major versions, so that every machine has the same.
java_home() {
  local home version
  for home in ${STACK_JAVA_HOME:-} ${JAVA_HOME:-} /usr/lib/jvm/*; do
    [ -x "$home/bin/javac" ] && [ -r "$home/release" ] || continue
    version=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$home/release")
    [ "$version" -lt "$1" ] || [ "$version" -gt "$2" ] || echo "$version $home"
  done | sort -n | head -1 | cut -d' ' -f2
}

env_name() { tr 'a-z-' 'A-Z_' <<<"$1"; }

# The port of a server: told by STACK_PORT_<NAME> (0 = any free one), else the one it had, else its default.
port() {
  local told=STACK_PORT_$(env_name "$1")
  told=${!told:-}
  if [ "${told:-0}" != 0 ]; then echo "$told"
  elif [ -s "$run/$1.port" ]; then cat "$run/$1.port"
  elif [ "$told" = 0 ]; then free_port
  else default_port "$1"; fi
}

default_port() {
  case $1 in
    postgres) echo 25432 ;; kafka) echo 29092 ;; kafka-controller) echo 29093 ;; kafka-proxied) echo 29094 ;; connect) echo 28083 ;;
    opensearch-2) echo 29202 ;; opensearch-3) echo 29203 ;;
    elasticsearch-8) echo 29208 ;; elasticsearch-9) echo 29209 ;; elasticsearch-8-tls) echo 29218 ;;
  esac
}

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Below 32768, where the kernel takes the ports of outgoing connections from.
free_port() {
  local candidate
  for _ in {1..100}; do
    candidate=$((20000 + RANDOM % 9000))
    taken "$candidate" || { echo "$candidate"; return; }
  done
  fail "no free port found"
}

claim_port() {
  local number
  number=$(port "$1")
  # Who was killed lets go of the port a moment after the process has lost its command line.
  [ ! -s "$run/$1.port" ] || for _ in {1..50}; do
    taken "$number" || break
    sleep 0.1
  done
  ! taken "$number" || fail "$1: port $number is taken; set STACK_PORT_$(env_name "$1")"
  echo "$number" >"$run/$1.port"
}

# Postgres, OpenSearch and Elasticsearch refuse root. As root we start them in a user namespace that calls root
# 1000: they see an ordinary user, and still own their folders, also below /root. The prefix keeps the pid.
unrooted=()
[ "$(id -u)" != 0 ] || unrooted=(unshare --user --map-user=1000 --map-group=1000 --)

# spawn NAME COMMAND...: in the background and in a session of its own, so that Ctrl-C in a test spares it.
spawn() {
  local name=$1
  shift
  (cd "$run/$name" && exec setsid "$@") >>"$run/$name/log" 2>&1 </dev/null &
  echo $! >"$run/$name/pid"
}

pid_of() { cat "$run/$1/pid" 2>/dev/null; }

# Whether the recorded process lives and is still ours: pids are used again. Every server has its run folder
# in its command line.
running() {
  local pid
  pid=$(pid_of "$1") && [ -n "$pid" ] && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "$run/$1/"
}

wait_ready() {
  local deadline=$((SECONDS + start_timeout_s)) misses=0
  until "$(kind "$1")_ready" "$1" >/dev/null 2>&1; do
    # On a busy machine it takes a while until a new process has the command line that it is known by.
    if running "$1"; then misses=0; else misses=$((misses + 1)); fi
    if [ $misses -ge 25 ] || [ $SECONDS -ge $deadline ]; then
      tail -n 20 "$run/$1/log" >&2
      fail "$1 $(running "$1" && echo "is not ready after ${start_timeout_s}s" || echo "died"): $run/$1/log"
    fi
    sleep 0.2
  done
}

# A launcher's place is taken by the server it has started.
adopt_server_pid() { [ ! -s "$run/$1/server.pid" ] || cp "$run/$1/server.pid" "$run/$1/pid"; }

stop() {
  local name=$1 pids signal=TERM deadline=$((SECONDS + stop_timeout_s))
  adopt_server_pid "$name"
  if running "$name"; then
    pids=$(pid_of "$name")
    case $name in
      postgres) signal=INT ;; # "fast": TERM waits for every client to leave
      elasticsearch-*) pids="$pids $(pgrep -P "$pids" || true)" ;; # a launcher does not take its server along
    esac
    # shellcheck disable=SC2086
    kill "-$signal" $pids 2>/dev/null || true
    while running "$name"; do # a zombie, which not every container's init collects, has no command line
      # shellcheck disable=SC2086
      [ $SECONDS -lt $deadline ] || kill -KILL $pids 2>/dev/null || true
      sleep 0.1
    done
  fi
  rm -f "$run/$name/pid" "$run/$name/server.pid"
}
