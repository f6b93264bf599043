# Kafka: one node, broker and controller (KRaft) in one process.
# shellcheck shell=bash
kafka_version=4.3.1
kafka_home=$stack/kafka-$kafka_version

kafka_fetch() { fetch_once "kafka-$kafka_version" kafka_download; }
kafka_download() {
  maven -f "$here/maven/kafka.xml" -Dkafka.version="$kafka_version" "$maven_dependency:copy-dependencies" -DincludeScope=runtime -DoutputDirectory="$1"
}

kafka_start() {
  local dir=$run/kafka address controller proxied_listener="" proxied_advertised=""
  address=127.0.0.1:$(port kafka)
  claim_port kafka-controller
  controller=127.0.0.1:$(port kafka-controller)
  # A broker tells its clients where to go on: behind a proxy it needs a listener that advertises the proxy.
  if [ -n "${STACK_KAFKA_PROXY:-}" ]; then
    claim_port kafka-proxied
    proxied_listener=,PROXIED://127.0.0.1:$(port kafka-proxied)
    proxied_advertised=,PROXIED://$STACK_KAFKA_PROXY
  fi
  cat >"$dir/server.properties" <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@$controller
listeners=PLAINTEXT://$address,CONTROLLER://$controller$proxied_listener
advertised.listeners=PLAINTEXT://$address$proxied_advertised
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT
log.dirs=$dir/data
num.partitions=${STACK_KAFKA_PARTITIONS:-1}
# One node: every internal topic has one copy, and one partition is quicker to make than fifty.
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# Tests restart consumers: neither a grace period for the first, nor 6 s until the broker forgets a killed one.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
P
  kafka_format "$dir"
  spawn kafka "$(kafka_java)" -Xmx"${STACK_HEAP_KAFKA:-256m}" $jvm -XX:+ExitOnOutOfMemoryError \
    -Dlog4j2.configurationFile="$here/log4j2.properties" -cp "$kafka_home/*" kafka.Kafka "$dir/server.properties"
}

kafka_java() { echo "$(java_home 17 99)/bin/java"; }

kafka_format() {
  [ ! -e "$1/data/meta.properties" ] || return 0
  "$(kafka_java)" $jvm -Dlog4j2.configurationFile="$here/log4j2.properties" -cp "$kafka_home/*" kafka.tools.StorageTool \
    format -t rowmill-test-cluster-A -c "$1/server.properties" >"$1/format.log" 2>&1 || fail "kafka could not format its folder: $1/format.log"
}

kafka_ready() { grep -q 'Kafka Server started' "$run/kafka/log"; }
kafka_url() { echo "127.0.0.1:$(port kafka)"; }
